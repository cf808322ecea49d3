"""Compares what a file says with what is there."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from app.services.declared.form import form_of
from app.services.declared.kinds import Found, Kind, shape_of
from app.services.declared.reading import Document, Path, Row, shown
from app.services.declared.references import Reference

CREATE, UPDATE, ADOPT = "create", "update", "adopt"
ANOTHER = "another value"


@dataclass(frozen=True)
class Step:
    """What is to be done with a row, and the fields that it changes; ``what`` may also be the kind's word for gone."""

    what: str
    path: Path
    before: Row = field(default_factory=dict)
    after: Row = field(default_factory=dict)

    def told(self) -> dict[str, Any]:
        """Return the step as people and programs read it: secrets are references, money is dollars."""
        known = form_of(self.path).fields
        changes = {name: _told(known[name].show, self.before.get(name), value) for name, value in self.after.items()}
        return {"what": self.what, "path": shown(self.path), "changes": changes}


@dataclass(frozen=True)
class Comparison:
    """The steps from what is there to what the file says, in their order, and what stands in the way."""

    steps: list[Step]
    problems: list[tuple[Path, str]]


def compare(
    document: Document,
    found: Mapping[Path, Found],
    kinds: Mapping[tuple[str, ...], Kind],
    *,
    adopt: Collection[str],
    prune: bool,
) -> Comparison:
    """Return what is to be done. A row that no file made is left alone, unless ``adopt`` has a pattern for it."""
    told = _Comparing(document, found, kinds, adopt)
    steps = [step for kind in kinds.values() for step in told.puts(kind)]
    if prune:
        steps += [step for kind in reversed(list(kinds.values())) for step in told.drops(kind)]
    return Comparison(steps, told.problems)


class _Comparing:
    def __init__(
        self,
        document: Document,
        found: Mapping[Path, Found],
        kinds: Mapping[tuple[str, ...], Kind],
        adopt: Collection[str],
    ) -> None:
        self._document, self._found, self._kinds, self._adopt = document, found, kinds, adopt
        self.problems: list[tuple[Path, str]] = []

    def puts(self, kind: Kind) -> Iterator[Step]:
        for path, row in self._document.rows.items():
            if shape_of(path) == kind.shape:
                present = self._found.get(path)
                wanted = kind.normal(path, row)
                if present is None:
                    yield Step(CREATE, path, {}, wanted)
                else:
                    yield from self._change(kind, present, wanted)

    def drops(self, kind: Kind) -> Iterator[Step]:
        for path, present in self._found.items():
            if self._is_left_out(kind, path) and not kind.is_gone(present.fields):
                if not self._is_ours(present):
                    continue  # made by hand: not the file's to take away
                foreign = [shown(each.path) for each in self._below(kind, path) if not self._is_ours(each)]
                if foreign:
                    told = f"It is kept: {foreign[0]} would go with it. Name that with --adopt."
                    self.problems.append((path, told))
                else:
                    yield Step(kind.gone, path)

    def _change(self, kind: Kind, present: Found, wanted: Row) -> Iterator[Step]:
        fields = {name: value for name, value in wanted.items() if name not in kind.once}
        changed = {name: value for name, value in fields.items() if value != present.fields.get(name)}
        if changed and not self._is_ours(present):
            names = ", ".join(changed)
            told = f"No file made it, and its {names} would change. Name it with --adopt."
            self.problems.append((present.path, told))
        elif changed:
            before = {name: present.fields.get(name) for name in changed}
            yield Step(UPDATE, present.path, before, changed)
        elif not present.declared and self._is_named(present.path):
            yield Step(ADOPT, present.path)

    def _is_left_out(self, kind: Kind, path: Path) -> bool:
        if shape_of(path) != kind.shape or path in self._document.rows or path[0] not in self._document.sections:
            return False
        return path[0] != "settings"

    def _below(self, kind: Kind, path: Path) -> Iterator[Found]:
        """Yield what a row takes with it: what stands under it, and the routes to an upstream."""
        if kind.gone != Kind.gone:
            return
        for other in self._found.values():
            is_route = path[0] == "upstreams" and shape_of(other.path) == ("models", "routes") and len(path) == 2
            if other.path != path and (other.path[: len(path)] == path or (is_route and other.path[3] == path[1])):
                yield other

    def _is_ours(self, present: Found) -> bool:
        return present.declared or self._is_named(present.path)

    def _is_named(self, path: Path) -> bool:
        return any(fnmatchcase(shown(path), pattern) for pattern in self._adopt)


def _told(show: Any, before: Any, after: Any) -> list[Any]:
    told = [None if value is None else show(value) for value in (before, after)]
    if isinstance(after, Reference) and told[0] == told[1]:
        return [told[0], f"{told[1]} ({ANOTHER})"]
    return told
