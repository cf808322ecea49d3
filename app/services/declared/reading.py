"""Reads a configuration file: everything that is wrong with it is told at once, by line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import yaml

from app.services.declared.form import SECTIONS, SETTINGS, Form
from app.services.declared.references import Reference

if TYPE_CHECKING:
    from pathlib import Path as Folder

Path = tuple[str, ...]
Row = dict[str, Any]
FORM = "realms"
VERSION = 1
"""The first word of a file, and what stands there."""


class FileError(Exception):
    """A file that can't be used; ``problems`` holds one sentence each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True)
class Document:
    """What a file says: rows by their paths. ``lines`` has the line of each row, and of each field under its name."""

    rows: dict[Path, Row] = field(default_factory=dict)
    sections: frozenset[str] = frozenset()
    lines: dict[Path, int] = field(default_factory=dict)


def read(text: str, *, folder: Folder) -> Document:
    """Return what a file says, its references looked up. Raises ``FileError``."""
    reader = _Reader(text)
    document = reader.document()
    rows = {path: reader.looked_up(path, row, folder) for path, row in document.rows.items()}
    if reader.problems:
        told = sorted(reader.problems, key=lambda problem: problem[0])
        raise FileError([f"line {line}: {problem}" for line, problem in told])
    return replace(document, rows=rows)


class _Reader:
    """Walks the nodes of one file."""

    def __init__(self, text: str) -> None:
        self.problems: list[tuple[int, str]] = []
        self._text = text
        self._rows: dict[Path, Row] = {}
        self._lines: dict[Path, int] = {}

    def document(self) -> Document:
        """Read what the file says."""
        try:
            self._loader = yaml.SafeLoader(self._text)
            top = self._loader.get_single_node()
        except yaml.MarkedYAMLError as error:
            self._refuse(error.problem_mark, error.problem or "this is no YAML")
            return Document()
        except (yaml.YAMLError, RecursionError) as error:
            self._refuse(None, f"this is no YAML: {error}")
            return Document()
        members = {} if top is None else self._members(top)
        self._check_version(members.pop(FORM, None), top)
        self._known(members, {*SECTIONS, "settings"})
        for name, (_, node) in members.items():
            if name == "settings":
                self._row((name,), SETTINGS, node)
            elif name in SECTIONS:
                self._rows_of((name,), SECTIONS[name], node)
        return Document(self._rows, frozenset(members), self._lines)

    def looked_up(self, path: Path, row: Row, folder: Folder) -> Row:
        """Return the row with its references looked up."""
        found = dict(row)
        for name, value in row.items():
            if isinstance(value, Reference):
                try:
                    found[name] = value.looked_up(folder)
                except ValueError as error:
                    self.problems.append((self._lines[*path, name], f"{shown(path)}: {name}: {error}"))
        return found

    def _check_version(self, member: tuple[yaml.Node, yaml.Node] | None, top: yaml.Node | None) -> None:
        value = None if member is None else self._value(member[1])
        if value != VERSION or isinstance(value, bool):
            mark = member[1].start_mark if member else getattr(top, "start_mark", None)
            self._refuse(mark, f"a configuration for this release begins with {FORM}: {VERSION}")

    def _rows_of(self, path: Path, form: Form, node: yaml.Node) -> None:
        for name, (key, value) in self._members(node, form=form, path=path).items():
            self._lines[*path, name] = key.start_mark.line + 1
            self._row((*path, name), form, value)

    def _row(self, path: Path, form: Form, node: yaml.Node) -> None:
        self._lines.setdefault(path, node.start_mark.line + 1)
        if form.short and isinstance(node, yaml.ScalarNode) and not _is_null(node):
            self._rows[path] = self._fields(path, form, {form.short: (node, node)})
            return
        members = self._members(node, path=path)
        self._known(members, {*form.fields, *form.parts, *form.ignored}, path)
        self._rows[path] = self._fields(path, form, members)
        for name, part in form.parts.items():
            if name in members:
                self._rows_of((*path, name), part, members[name][1])

    def _fields(self, path: Path, form: Form, members: dict[str, tuple[yaml.Node, yaml.Node]]) -> Row:
        row = {}
        for name, (_, node) in members.items():
            if name in form.fields:
                self._lines[*path, name] = node.start_mark.line + 1
                try:
                    row[name] = form.fields[name].read(self._value(node))
                except ValueError as error:
                    self._refuse(node.start_mark, f"{shown(path)}: {name}: {error}")
        return row

    def _members(
        self, node: yaml.Node, *, form: Form | None = None, path: Path = ()
    ) -> dict[str, tuple[yaml.Node, yaml.Node]]:
        """Return what a mapping holds, by name; nothing where it is left empty."""
        if _is_null(node):
            return {}
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node.start_mark, f"{shown(path)}: must be a mapping, name: value" if path else "no mapping")
            return {}
        found: dict[str, tuple[yaml.Node, yaml.Node]] = {}
        merges = any(key.tag == "tag:yaml.org,2002:merge" for key, _ in node.value)
        if merges:  # what is merged stands first, and what is said beside it wins
            self._loader.flatten_mapping(node)
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                self._refuse(key.start_mark, f"{shown(path)}: a name must be a plain text")
                continue
            try:
                name = form.key(key.value) if form else key.value
            except ValueError as error:
                self._refuse(key.start_mark, f"{shown(path)}: {error}")
                continue
            if name in found and not merges:
                self._refuse(key.start_mark, f"{shown((*path, name))} stands here a second time")
                continue
            found[name] = (key, value)
        return found

    def _known(self, members: dict[str, tuple[yaml.Node, yaml.Node]], known: set[str], path: Path = ()) -> None:
        for name, (key, _) in members.items():
            if name not in known:
                near = difflib.get_close_matches(name, known, n=1)
                hint = f"; did you mean {near[0]}?" if near else f"; known are {', '.join(sorted(known))}"
                self._refuse(key.start_mark, f"{shown((*path, name))}: there is no such field{hint}")

    def _value(self, node: yaml.Node) -> Any:
        try:
            return self._loader.construct_document(node)
        except yaml.YAMLError as error:
            raise ValueError(str(error)) from None

    def _refuse(self, mark: Any, problem: str) -> None:
        self.problems.append((mark.line + 1 if mark is not None else 1, problem))


def shown(path: Path) -> str:
    """Return how people read a path."""
    return ".".join(path)


def _is_null(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"
