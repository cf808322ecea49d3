"""The way from nothing to the first answer: an upstream, models, a token."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from flask import url_for
from flask_babel import gettext as _

from app.console.connect import served_models
from app.services import upstreams
from app.web.people import person

if TYPE_CHECKING:
    from collections.abc import Iterator

    from flask_babel import LazyString


@dataclass(slots=True)
class Step:
    """One thing to do; ``state`` is ``done``, ``now`` or ``later``."""

    title: str | LazyString
    text: str | LazyString
    url: str
    label: str | LazyString
    done: bool
    state: str = "later"


def steps(*, has_token: bool) -> list[Step]:
    """Return what the visitor has to do before a first request can work; nothing when all of it is done."""
    todo = list(_for_admin()) if person().is_admin else []
    todo.append(
        Step(
            title=_("Make a token"),
            text=_("It is shown once, with a command that proves that everything works."),
            url=url_for("console.new_token"),
            label=_("Make a token"),
            done=has_token,
        )
    )
    if all(step.done for step in todo):
        return []
    current = next(step for step in todo if not step.done)
    for step in todo:
        step.state = "done" if step.done else ("now" if step is current else "later")
    return todo


def _for_admin() -> Iterator[Step]:
    yield Step(
        title=_("Add an upstream"),
        text=_("The provider that Realms forwards to: its address and an API key. It is tested at once."),
        url=url_for("admin.new_upstream"),
        label=_("Add an upstream"),
        done=any(upstream.enabled for upstream in upstreams.list_all()),
    )
    yield Step(
        title=_("Pick models"),
        text=_("Choose from the upstream's own list what people may ask for."),
        url=_models_url(),
        label=_("Pick models"),
        done=bool(served_models()),
    )


def _models_url() -> str:
    enabled = [upstream for upstream in upstreams.list_all() if upstream.enabled]
    if len(enabled) == 1:
        return url_for("admin.pick_models", upstream_id=enabled[0].id)
    return url_for("admin.models")
