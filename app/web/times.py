"""The reader's time: in which zone pages tell moments, and where the days begin that somebody picks."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from flask import g

from app.web.people import person

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import tzinfo

    from flask import Flask

UNPLACED = "Etc", "SystemV", "posix", "right"
"""Areas of names that are no places on earth."""
MOMENT = "%Y-%m-%dT%H:%M"
"""As browsers write it."""


def init_app(app: Flask) -> None:
    """Let templates name the reader's zone."""
    app.jinja_env.globals.update(time_zone=name)


@cache
def places() -> dict[str, list[str]]:
    """Return the names of all time zones of places, by continent or ocean."""
    found: dict[str, list[str]] = {}
    for each in sorted(available_timezones()):
        area, _, place = each.partition("/")
        if place and area not in UNPLACED:
            found.setdefault(area, []).append(each)
    return found


def zone() -> tzinfo:
    """Return the zone of whoever reads; UTC for strangers, for those who chose none, and while nobody can be asked."""
    if g.get("failed") or not person().is_authenticated:
        return UTC
    return _known(person().user.time_zone or "UTC")


def name() -> str:
    """Return what the reader's zone is called."""
    return str(zone())


def now() -> datetime:
    """Return the present moment in the reader's zone."""
    return datetime.now(zone())


def begin_of(day: date) -> datetime:
    """Return when a day begins for the reader."""
    return datetime.combine(day, time(), zone())


def end_of(day: date) -> datetime:
    """Return when a day is over for the reader."""
    return begin_of(day + timedelta(days=1))


def read(text: str, border: Callable[[date], datetime]) -> datetime | None:
    """Return what an address or a form says: a moment of the reader's, or a day, of which ``border`` is meant."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    if not date.min < found.date() < date.max:  # the first day and the last aren't whole in every zone
        return None
    return found.replace(tzinfo=found.tzinfo or zone()) if "T" in text else border(found.date())


def written(at: datetime) -> str:
    """Return a moment as an address has it, to the minute, for ``read``."""
    there = at.astimezone(zone())
    return there.isoformat(timespec="minutes") if comes_twice(there) else there.strftime(MOMENT)


def hour(at: datetime) -> str:
    """Return what an hour is called in a list of hours: the two of the same name tell how far they are from UTC."""
    return f"{at:%H:%M} UTC{away(at)}" if comes_twice(at) else f"{at:%H:%M}"


def away(at: datetime) -> str:
    """Return how far a moment's zone is from UTC then; nothing where it isn't."""
    told = at.strftime("%z")
    return "" if told == "+0000" else f"{told[:3]}:{told[3:]}"


def comes_twice(at: datetime) -> bool:
    """Whether clocks there show this time twice, because they are put back."""
    return at.replace(fold=0).utcoffset() != at.replace(fold=1).utcoffset()


def _known(wanted: str) -> tzinfo:
    try:
        return UTC if wanted == "UTC" else ZoneInfo(wanted)
    except (ZoneInfoNotFoundError, ValueError):  # known when it was chosen, on another machine
        return UTC
