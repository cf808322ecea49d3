"""How long each page takes at the server: ``python -m bench.pages [COUNT]``, with COUNT records on SQLite (100,000).

Fifty people with four tokens each, five upstreams, seventeen models. Every page of an administrator, and of the user
with the most records, is asked for many times, in this process, from the request to the last byte. SQLite works in
this process, too, so that its CPU time is what the page takes on a machine that has nothing else to do; p95 on the
clock stands beside it. Sizes are those of the page alone, in kB. What is over the bar of 100 ms is marked.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from app import create_app
from app.extensions import db
from app.models import AuditEntry, Token, User
from app.services import accounts, announcements, catalog, schema, upstreams
from app.settings import Settings
from bench.records import fill
from tests.conftest import PASSWORD, SECRET_KEY, VAULT_KEY
from tests.rooms import Browser

RUNS, WARM = 30, 2
BAR_MS = 100
ROLES = ("user", "admin")
PEOPLE, TOKENS, UPSTREAMS, MODELS, CHANGES = 50, 4, 5, 17, 5_000
VALUES = {
    "upstream_id": 1,
    "credential_id": 1,
    "model_id": 1,
    "route_id": 1,
    "user_id": 1,
    "token_id": 1,
    "price_id": 1,
    "announcement_id": 1,
}
NOT_PAGES = ("/setup", "/join", "/reset", "/tokens/<int:token_id>/secret", "/admin/objects/<int:row_id>/forget")


def people() -> None:
    """Make those whom the records name, and what they use; the first has most records, the second administers."""
    some = [
        accounts.create_user(email=f"user{n}@example.com", password=PASSWORD, role=role, actor=None)
        for n, role in enumerate(ROLES)
    ]
    shared = some[0].password_hash
    db.session.add_all(
        User(email=f"user{n}@example.com", name=f"User {n}", role="user", password_hash=shared)
        for n in range(len(some), PEOPLE)
    )
    db.session.commit()
    db.session.add_all(
        Token(user_id=1 + n % PEOPLE, name=f"token {n}", digest=f"{n:064x}", last4=f"{n:04}")
        for n in range(PEOPLE * TOKENS)
    )
    db.session.add_all(AuditEntry(action="token.create", target=f"token {n}", after={"id": n}) for n in range(CHANGES))
    db.session.commit()
    for n in range(UPSTREAMS):
        made = upstreams.create(
            name=f"upstream {n}", kind="openai", base_url=f"https://{n}.example.com/v1", key="sk-x", priority=0,
            weight=1, actor=None,
        )  # fmt: skip
        catalog.import_models(made.id, {f"model-{m}": None for m in range(MODELS)}, actor=None)
    announcements.announce("On Sunday one upstream is away.", days=7, actor=None)
    db.session.remove()


def addresses(app: Any, record: str) -> Iterator[str]:
    """Yield every page that GET shows, with the filters that cost most."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        room = rule.endpoint.partition(".")[0]
        if room not in {"console", "admin"} or "GET" not in (rule.methods or ()) or rule.rule.endswith(".csv"):
            continue
        if rule.rule in NOT_PAGES or "/accounts/" in rule.rule:
            continue
        given = VALUES | {"record_id": record}
        yield rule.build({name: given[name] for name in rule.arguments})[1]
    yield from ("/?days=1", "/?days=30", "/usage?status=error", "/usage?model=model-3", "/usage?status=418")
    yield from ("/admin/requests?status=error", "/admin/requests?status=418", "/admin/requests?user=7&model=model-3")
    yield from ("/admin/explain?model=model-3", "/admin/audit?target=token+77", "/admin/audit?target=nothing-such")
    yield from ("/admin/users?words=user+4", "/usage?line=1&model=model-*")


def measure(browser: Browser, path: str) -> tuple[int, float, float, float, float]:
    """Return status, CPU time (p50, p95), time on the clock (p95), all in ms, and kB of a page."""
    busy, took = [], []
    for n in range(WARM + RUNS):
        start, worked = time.perf_counter(), time.process_time()
        answer = browser.client.get(path, headers=browser.sent, environ_base=browser.environ)
        body = answer.get_data()
        if n >= WARM:
            took.append((time.perf_counter() - start) * 1000)
            busy.append((time.process_time() - worked) * 1000)
    took.sort()
    busy.sort()
    return answer.status_code, busy[RUNS // 2], busy[int(RUNS * 0.95)], took[int(RUNS * 0.95)], len(body) / 1000


def main() -> None:
    """Make the house, walk it, and say what was slow."""
    parser = argparse.ArgumentParser()
    parser.add_argument("count", type=int, nargs="?", default=100_000)
    count = parser.parse_args().count
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(
            data_dir=Path(folder),
            database_url=SecretStr(f"sqlite:///{folder}/realms.db"),
            secret_key=SecretStr(SECRET_KEY),
            vault_keys=SecretStr(VAULT_KEY),
        )
        app = create_app(settings)
        with app.app_context():
            schema.upgrade()
            people()
            fill(db.engine, count)
        walk(app, count)
        with app.app_context():
            db.engine.dispose()


def walk(app: Any, count: int) -> None:
    """Print a line for each page, the slowest first."""
    rows = []
    for number, who in enumerate(ROLES):
        browser = Browser(app).sign_in(f"user{number}@example.com")
        for path in dict.fromkeys(addresses(app, f"{count - 10:032x}")):
            status, median, high, waited, size = measure(browser, path)
            if status == 200:
                rows.append((high, median, waited, size, who, path))
    rows.sort(reverse=True)
    print(f"| page ({count:,} records, SQLite) | who | p50 ms | p95 ms | on the clock | kB |")
    print("| --- | --- | --- | --- | --- | --- |")
    for high, median, waited, size, who, path in rows:
        mark = " **over**" if high > BAR_MS else ""
        print(f"| `{path}` | {who} | {median:.0f} | {high:.0f}{mark} | {waited:.0f} | {size:.0f} |")
    slow = sum(row[0] > BAR_MS for row in rows)
    print(f"\n{len(rows)} pages, {slow} over {BAR_MS} ms.")


if __name__ == "__main__":
    main()
