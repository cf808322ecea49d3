"""The control calls: what arrived, how much of it, and which faults come next.  No key; prefix `/_control`.

`GET requests[?since=N]` (those numbered above N), `GET requests/N` (with all of the body that was kept),
`DELETE requests`, `GET stats`, `GET|POST|DELETE faults`, `POST reset` (forgets everything),
`POST codex` with `{"email"?, "id"?, "plan"?, "expires_in"?, "quota"?: {...}, "token_life"?}`: makes or changes a
ChatGPT account and answers its id with a fresh set of tokens; `token_life` is for all tokens to come.
"""

import time
from typing import Any

import msgspec

from simulator import faults
from simulator.answer import Answer, json_answer
from simulator.codex_accounts import Quota
from simulator.http import Request
from simulator.options import as_options, parse
from simulator.plan import Plan
from simulator.records import CUT_BODY, WHOLE_BODY
from simulator.world import Rule, World

PREFIX = "/_control/"


def control(world: World, request: Request) -> Answer:
    name, _, rest = request.path.removeprefix(PREFIX).partition("/")
    action = ACTIONS.get(f"{request.method} {name}")
    if action is None:
        return json_answer({"error": f"no control call {request.method} {request.path}"}, 404)
    try:
        return json_answer(action(world, request, rest))
    except (msgspec.DecodeError, ValueError, LookupError) as error:
        return json_answer({"error": str(error)}, 400)


def _requests(world: World, request: Request, rest: str) -> Any:
    if rest:
        record = world.records.get(int(rest))
        if record is None:
            raise LookupError(f"no request {rest}")
        return record.shown(WHOLE_BODY)
    since = int(request.query.removeprefix("since=") or 0)
    return [record.shown(CUT_BODY) for record in world.records.since(since)]


def _clear(world: World, _: Request, __: str) -> Any:
    world.records.clear()
    return {}


def _stats(world: World, _: Request, __: str) -> Any:
    return {
        "requests": world.records.counted,
        "open": world.records.running,
        "aborted": world.records.left,
        "connections": len(world.connections),
        "cpu_s": time.process_time(),
        "oauth_refreshes": world.codex.refreshes,
    }


def _list_faults(world: World, _: Request, __: str) -> Any:
    return world.shown_rules()


def _add_fault(world: World, request: Request, _: str) -> Any:
    rule = msgspec.json.decode(request.body, type=Rule)
    for fault in parse(as_options(rule.fault)).faults:
        # Only tried, so that a wrong word is refused here and not at the request it was meant for.
        faults.apply(Plan(), fault)
    world.rules.append(rule)
    return world.shown_rules()


def _drop_faults(world: World, _: Request, __: str) -> Any:
    world.rules.clear()
    return []


def _reset(world: World, _: Request, __: str) -> Any:
    world.reset()
    return {}


class CodexChange(msgspec.Struct, forbid_unknown_fields=True):
    email: str = "user@example.com"
    id: str | None = None
    plan: str | None = None
    expires_in: int | None = None
    quota: dict[str, Any] | None = None
    token_life: int | None = None


def _codex(world: World, request: Request, _: str) -> Any:
    change = msgspec.json.decode(request.body or b"{}", type=CodexChange)
    if change.token_life is not None:
        world.codex.expires_in = change.token_life
    account = world.codex.account(change.email, ident=change.id, plan=change.plan)
    if change.quota is not None:
        account.quota = msgspec.convert(msgspec.structs.asdict(account.quota) | change.quota, Quota)
    return {"account_id": account.id, **world.codex.issue(account, change.expires_in)}


ACTIONS = {
    "GET requests": _requests,
    "DELETE requests": _clear,
    "GET stats": _stats,
    "GET faults": _list_faults,
    "POST faults": _add_fault,
    "DELETE faults": _drop_faults,
    "POST reset": _reset,
    "POST codex": _codex,
}
