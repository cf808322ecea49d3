"""Brings about what a configuration file says, in one transaction; or shows what would be done, and undoes it."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from app.extensions import db
from app.services.changes import change, together
from app.services.declared.catalogue import Models, Prices, Routes, model_at
from app.services.declared.comparing import ADOPT, Step, compare
from app.services.declared.form import SECTIONS
from app.services.declared.house import Announcements, Settings
from app.services.declared.kinds import Found, Kind, Putting, shape_of
from app.services.declared.people import Limits, Users, draft, user_at
from app.services.declared.places import Credentials, Upstreams
from app.services.declared.reading import Document, FileError, Path, Row, shown
from app.services.fields import FieldError

if TYPE_CHECKING:
    from collections.abc import Mapping

Kinds = dict[tuple[str, ...], Kind]
USERS = ("users",)


class _OnlyLookedError(Exception):
    """Undoes what was done to see whether it can be done."""


def plan(document: Document, *, adopt: Collection[str] = (), prune: bool = False) -> list[Step]:
    """Return what ``apply`` would do: it is done, and undone. Raises ``FileError`` for what can't be done."""
    run = _Run(document)
    with suppress(_OnlyLookedError), together():
        run.go(adopt=adopt, prune=prune)
        raise _OnlyLookedError
    return run.steps


def apply(document: Document, *, adopt: Collection[str] = (), prune: bool = False) -> list[Step]:
    """Do what the file says, all of it or nothing; return what was done. Raises ``FileError``."""
    run = _Run(document)
    with suppress(_OnlyLookedError), together():
        run.go(adopt=adopt, prune=prune)
        if not run.steps:
            raise _OnlyLookedError  # nothing changes, and nobody has to look at it
    return run.steps


def kinds_of(rows: Mapping[Path, Row]) -> Kinds:
    """Return every kind by its shape, in the order in which rows can be made."""
    kinds: tuple[Kind, ...] = (
        Upstreams(),
        Credentials(dict(rows)),
        Models(),
        Routes(),
        Prices(),
        Limits("models", "model", model_at),
        Users(),
        Limits("users", "user", user_at),
        Settings(),
        Announcements(),
    )
    return {kind.shape: kind for kind in kinds}


def present(kinds: Kinds) -> dict[Path, Found]:
    """Return every row that is there by its path."""
    return {found.path: found for kind in kinds.values() for found in kind.found()}


class _Run:
    """One way through a file. People are drafted first: hashing is slow, and nothing may be locked meanwhile."""

    def __init__(self, document: Document) -> None:
        self.steps: list[Step] = []
        self._document = document
        self._kinds = kinds_of(document.rows)
        self._problems = _Problems(document)
        self._drafts = self._drafted()

    def go(self, *, adopt: Collection[str], prune: bool) -> None:
        """Take every step, inside the transaction. Raises ``FileError`` with everything that stands in the way."""
        found = present(self._kinds)
        compared = compare(self._document, found, self._kinds, adopt=adopt, prune=prune)
        for path, problem in compared.problems:
            self._problems.add(path, problem)
        for step in compared.steps:
            with self._problems.noted(step.path), db.session.begin_nested():
                self._take(step, found.get(step.path))
        self._problems.tell()
        self.steps = compared.steps

    def _drafted(self) -> dict[Path, Any]:
        there = {each.path for each in self._kinds[USERS].found()}
        drafts = {}
        for path, row in self._document.rows.items():
            if shape_of(path) == USERS and path not in there:
                with self._problems.noted(path):
                    drafts[path] = draft(path, row)
        return drafts

    def _take(self, step: Step, found: Found | None) -> None:
        kind = self._kinds[shape_of(step.path)]
        if step.what == kind.gone:
            kind.drop(step.path)
            return
        if step.what == ADOPT:
            with change("declared.adopt", shown(step.path), actor=None):
                pass
        elif kind.shape != USERS or found is not None or step.path in self._drafts:  # else it is told already
            before = found.fields if found else None
            row = (before or {}) | step.after
            kind.put(Putting(step.path, row, before, self._document.rows, self._drafts.get(step.path)))
        else:
            return
        for row in kind.rows(step.path):
            row.declared = True


class _Problems:
    """Gathers what stands in the way, so that all of it is told at once."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._found: list[tuple[int, str]] = []

    def add(self, path: Path, problem: str, field: str = "") -> None:
        lines = self._document.lines
        line = lines.get((*path, field), lines.get(path, 0))
        name = f"{shown(path)}: {field}: " if field else f"{shown(path)}: "
        self._found.append((line, f"{f'line {line}: ' if line else ''}{name}{problem}"))

    @contextmanager
    def noted(self, path: Path) -> Iterator[None]:
        """Note a refusal in the body, and go on."""
        try:
            yield
        except FieldError as error:
            self.add(path, str(error), error.field)

    def tell(self) -> None:
        """Raise ``FileError`` if anything was noted."""
        if self._found:
            raise FileError([problem for _, problem in sorted(self._found, key=lambda noted: noted[0])])


def sections() -> list[str]:
    """Return the names of the sections that a file may have."""
    return ["settings", *SECTIONS]
