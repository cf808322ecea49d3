"""What callers are told of their limits: what is left, in their protocol's own headers, and why a call is refused."""

from __future__ import annotations

from datetime import UTC, datetime

from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.limit import Measure
from app.protocol.price import dollars
from app.services.counters import Full, Want

OVER = {
    Measure.REQUESTS: "requests per minute",
    Measure.TOKENS: "tokens per minute",
    Measure.CONCURRENT: "requests at a time",
    Measure.DAY: "a day",
    Measure.WEEK: "a week",
    Measure.MONTH: "a month",
    Measure.TOTAL: "in all",
    Measure.CONVERSATION: "for one conversation",
}
NAMES = {Measure.REQUESTS: "requests", Measure.TOKENS: "tokens"}
Headers = list[tuple[str, str]]


def headers(wants: list[Want], used: list[int], *, protocol: Protocol, now: float) -> Headers:
    """Return the headers for what is left of requests and tokens, each of the tightest limit."""
    tightest: dict[str, tuple[int, Want]] = {}
    for want, n in zip(wants, used, strict=True):
        if want.rule.money:
            continue
        name = NAMES.get(want.rule.measure)
        left = want.rule.most - n
        if name is not None and (name not in tightest or left < tightest[name][0]):
            tightest[name] = left, want
    told: Headers = []
    for name, (left, want) in tightest.items():
        told += _headers(name, want, max(0, left), protocol=protocol, now=now)
    return told


def refusal(full: Full, now: float) -> RelayError:
    """Return what a caller is told whose call has no room: which limit, how much is used, and when that changes."""
    want, measure = full.want, full.want.rule.measure
    whose = {"user": "Your", "token": "This token's", "model": "This model's"}[want.rule.scope]
    narrow = f" on {want.rule.model}" if want.rule.model and want.rule.scope != "model" else ""
    if measure.is_money:
        allowed = f"{dollars(want.rule.most)} {OVER[measure]}"
        state = f"{dollars(full.used)} are used or reserved, and this call may cost {dollars(want.amount)}"
    else:
        allowed = f"{want.rule.most:,} {OVER[measure]}"
        state = f"{full.used:,} are used"
        state += f", and this call may need {want.amount:,}" if measure is Measure.TOKENS else ""
    message = f"{whose} limit of {allowed}{narrow} is reached: {state}.{_until(want)}"
    return RelayError(
        Problem.INSUFFICIENT_QUOTA if measure.is_money else Problem.RATE_LIMITED,
        message,
        retry_after=_wait(want, now),
        headers=(("x-should-retry", "false"),) if measure.is_money else (),
    )


def _until(want: Want) -> str:
    if want.span.end is not None:
        return f" It resets at {_moment(want.span.end)}."
    return "" if want.rule.measure is not Measure.CONCURRENT else " Wait for another call to end."


def _wait(want: Want, now: float) -> int | None:
    """Return the whole seconds until there is room again, as far as anybody can know."""
    if want.rule.measure is Measure.CONCURRENT:
        return 1
    return None if want.span.end is None else max(1, int(want.span.end - now) + 1)


def _headers(name: str, want: Want, left: int, *, protocol: Protocol, now: float) -> Headers:
    end = want.span.end or 0
    if protocol is Protocol.ANTHROPIC:
        first = f"anthropic-ratelimit-{name}-"
        return [
            (first + "limit", str(want.rule.most)),
            (first + "remaining", str(left)),
            (first + "reset", _moment(end)),
        ]
    return [
        (f"x-ratelimit-limit-{name}", str(want.rule.most)),
        (f"x-ratelimit-remaining-{name}", str(left)),
        (f"x-ratelimit-reset-{name}", f"{max(0, int(end - now) + 1)}s"),
    ]


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
