"""What callers are told of their limits: what is left, in their protocol's own headers, and why a call is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec

from app.protocol.endpoints import Protocol
from app.protocol.errors import Problem, RelayError
from app.protocol.limit import CALLS, REQUESTS, TOKENS, Measure
from app.protocol.price import dollars
from app.services.counters import Count, Full

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
FORMS = {Protocol.OPENAI: "x-ratelimit-{0}-{1}", Protocol.ANTHROPIC: "anthropic-ratelimit-{1}-{0}"}
NAMES = {
    (protocol, unit): (form.format("limit", what), form.format("remaining", what), form.format("reset", what))
    for protocol, form in FORMS.items()
    for unit, what in ((REQUESTS, "requests"), (TOKENS, "tokens"))
}
Header = tuple[str, str]


class Rate(msgspec.Struct, frozen=True):
    """What answers tell of the limits on requests, or on tokens, in one minute; what is left changes with each call."""

    limits: list[tuple[int, int, Header]]
    """Of each its place among all that is counted, its most, and the header that tells that."""
    left: str
    reset: str
    """Names of the other headers."""
    end: int
    moment: str
    """The end as Anthropic tells it; empty where the seconds until then are told."""


def rates(counts: list[Count], protocol: Protocol) -> list[Rate]:
    """Return what is told to those whose calls are counted so."""
    found: dict[int, Rate] = {}
    for place, count in enumerate(counts):
        unit, most, end = count.rule.unit, count.rule.most, count.span.end or 0
        if (names := NAMES.get((protocol, unit))) is None:
            continue
        if unit not in found:
            found[unit] = Rate([], names[1], names[2], end, _moment(end) if protocol is Protocol.ANTHROPIC else "")
        found[unit].limits.append((place, most, (names[0], str(most))))
    return list(found.values())


def headers(rates: list[Rate], used: list[int], now: float) -> list[Header]:
    """Return the headers for what is left of requests and tokens, each of the tightest limit."""
    told: list[Header] = []
    reset = ""
    for rate in rates:
        place, most, limit = rate.limits[0]
        least = most - used[place]
        for place, most, header in rate.limits:
            if most - used[place] < least:
                least, limit = most - used[place], header
        reset = reset or rate.moment or f"{int(rate.end - now) + 1}s"  # of all: they end with the minute
        told += limit, (rate.left, str(least) if least > 0 else "0"), (rate.reset, reset)
    return told


def refusal(full: Full, now: float) -> RelayError:
    """Return what a caller is told whose call has no room: which limit, how much is used, and when that changes."""
    count, rule = full.count, full.count.rule
    whose = {"user": "Your", "token": "This token's", "model": "This model's"}[rule.scope]
    narrow = f" on {rule.model}" if rule.model and rule.scope != "model" else ""
    if rule.money:
        allowed = f"{dollars(rule.most)} {OVER[rule.measure]}"
        state = f"{dollars(full.used)} are used or reserved, and this call may cost {dollars(full.amount)}"
    else:
        allowed = f"{rule.most:,} {OVER[rule.measure]}"
        state = f"{full.used:,} are used"
        state += f", and this call may need {full.amount:,}" if rule.unit == TOKENS else ""
    message = f"{whose} limit of {allowed}{narrow} is reached: {state}.{_until(count)}"
    return RelayError(
        Problem.INSUFFICIENT_QUOTA if rule.money else Problem.RATE_LIMITED,
        message,
        retry_after=_wait(count, now),
        headers=(("x-should-retry", "false"),) if rule.money else (),
    )


def _until(count: Count) -> str:
    if count.span.end is not None:
        return f" It resets at {_moment(count.span.end)}."
    return " Wait for another call to end." if count.rule.unit == CALLS else ""


def _wait(count: Count, now: float) -> int | None:
    """Return the whole seconds until there is room again, as far as anybody can know."""
    if count.rule.unit == CALLS:
        return 1
    return None if count.span.end is None else max(1, int(count.span.end - now) + 1)


def _moment(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
