"""What templates may call: moments, durations, counts, and addresses of static files."""

from __future__ import annotations

import hashlib
import re
import time
from contextlib import suppress
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babel.dates import format_timedelta
from flask import request, url_for
from flask_babel import format_decimal, format_percent, get_locale
from flask_babel import gettext as _

from app.models.base import utcnow
from app.protocol.price import NANOS, Rates, dollars
from app.web import times

if TYPE_CHECKING:
    from flask import Flask

    from app.services.reports import Totals

UNKNOWN = "\N{EN DASH}"
NUMBER_BY_HAN = re.compile(r"(\d)(?=[\u4e00-\u9fff])")
"""Where Chinese text of ours has a blank and Babel's has none."""
STATIC = Path(__file__).parents[2] / "static"


def init_app(app: Flask) -> None:
    """Teach the templates our words."""
    app.jinja_env.trim_blocks = True
    app.jinja_env.lstrip_blocks = True
    app.jinja_env.filters.update(
        ago=ago,
        moment=moment,
        count=count,
        duration=duration,
        money=money,
        exact=exact,
        kept=kept,
        cost=cost,
        share=share,
        since=since,
        size=size,
    )
    app.jinja_env.globals.update(asset=asset, here=here)


def ago(at: datetime) -> str:
    """Return how far away ``at`` is, in the reader's words."""
    delta = at - utcnow()
    if abs(delta.total_seconds()) < 60:
        return str(_("just now")) if delta.total_seconds() <= 0 else str(_("in a moment"))
    told = format_timedelta(delta, granularity="minute", add_direction=True, threshold=1.2, locale=get_locale())
    return NUMBER_BY_HAN.sub(r"\1 ", told)


def moment(at: datetime) -> str:
    """Return ``at`` in full, in the reader's zone, with its distance from UTC."""
    there = at.astimezone(times.zone())
    return f"{there:%Y-%m-%d %H:%M:%S} UTC{times.away(there)}"


def count(number: int | None) -> str:
    """Return a count with the reader's separators; what is unknown is shown as unknown, never as zero."""
    return UNKNOWN if number is None else str(format_decimal(number))


def money(nanos: int | None) -> str:
    """Return an amount of nano-dollars, small ones to two digits; what is unknown is shown as unknown."""
    if nanos is None:
        return UNKNOWN
    step = 10 ** max(0, len(str(abs(nanos))) - 2) if abs(nanos) < NANOS // 10 else NANOS // 100
    return dollars((nanos + step // 2) // step * step)


def exact(nanos: int | None) -> str:
    """Return an amount of nano-dollars with nothing rounded away below a dollar: prices, limits, a working."""
    return UNKNOWN if nanos is None else dollars(nanos)


def kept(value: Any, name: str = "") -> str:
    """Return what a change was from or to, by the name that it is kept under: money as money, moments as moments."""
    match value:
        case None:
            return ""
        case bool():
            return str(_("yes") if value else _("no"))
        case int() if name.startswith("money_") or name in Rates.__struct_fields__:
            return exact(value)
        case str() if name.endswith("_at") or name == "valid_from":
            with suppress(ValueError):
                return moment(datetime.fromisoformat(value))
            return value
        case list():
            return ", ".join(kept(each, name) for each in value)
        case dict():
            return ", ".join(f"{key} {kept(each, key)}" for key, each in value.items())
    return str(value)


def cost(sums: Totals) -> str:
    """Return what requests came to, as unknown where the price of none is known."""
    return UNKNOWN if sums.requests and sums.unpriced >= sums.requests else money(sums.cost_nanos)


def share(part: float | None) -> str:
    """Return a part of 1 in percent."""
    return UNKNOWN if part is None else str(format_percent(part, "0%"))


def duration(ms: int | None) -> str:
    """Return a duration in the unit that reads best."""
    if ms is None:
        return UNKNOWN
    return f"{ms} ms" if ms < 1000 else f"{ms / 1000:.1f} s"


def since(moment: float) -> str:
    """Return how long ago a moment (in seconds since the epoch) was, to the second."""
    minutes, seconds = divmod(max(0, int(time.time_ns() / 1e9 - moment)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def size(number: int) -> str:
    """Return a count of bytes in the unit that reads best."""
    if number < 1000:
        return f"{number} B"
    return f"{number / 1000:.1f} kB" if number < 1_000_000 else f"{number / 1_000_000:.1f} MB"


def asset(name: str) -> str:
    """Return the address of a static file, its hash included, so that browsers may keep it."""
    return url_for("static", filename=name, v=_digest(name))


def here() -> str:
    """Return the address of this page, or the home page where it can't be opened again."""
    rule = request.url_rule
    return request.full_path.rstrip("?") if rule and "GET" in (rule.methods or ()) else "/"


@cache
def _digest(name: str) -> str:
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:12]
