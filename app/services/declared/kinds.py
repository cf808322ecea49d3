"""What every kind of declared row can do: be found, be put, be dropped."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.services.declared.reading import Path, Row
from app.services.fields import FieldError


@dataclass(frozen=True)
class Found:
    """A row that is there, as a file would tell it; ``declared`` says that a file made it."""

    path: Path
    fields: Row
    declared: bool


@dataclass(frozen=True)
class Putting:
    """A row that is to be as a file says: ``row`` whole, ``before`` as it was (None: it is new).

    ``rows`` are all that the file says; ``draft`` is what was made ready before the transaction.
    """

    path: Path
    row: Row
    before: Row | None
    rows: Mapping[Path, Row]
    draft: Any = None

    def differs(self, *names: str) -> bool:
        """Return whether any of these fields is to be another."""
        before = self.before or {}
        return any(self.row.get(name) != before.get(name) for name in names)

    def needed(self, name: str) -> Any:
        """Return a field that a new row can't do without. Raises ``FieldError``."""
        if name not in self.row:
            raise FieldError(name, "It isn't here yet, and needs this.")
        return self.row[name]


class Kind:
    """One kind of row. ``gone`` is the word for what dropping does."""

    shape: tuple[str, ...]
    """Every second part of its paths."""
    once: frozenset[str] = frozenset()
    """Fields that are read when the row is made, and never again."""
    gone = "delete"

    def found(self) -> Iterator[Found]:
        """Yield every row that is there."""
        raise NotImplementedError

    def put(self, putting: Putting) -> None:
        """Make or change a row, inside the transaction. Raises ``FieldError``."""
        raise NotImplementedError

    def drop(self, path: Path) -> None:
        """Take a row away, inside the transaction. Raises ``FieldError``."""
        raise NotImplementedError

    def rows(self, path: Path) -> Iterable[Any]:
        """Return the rows of the database that carry the mark of a path."""
        raise NotImplementedError

    def normal(self, _path: Path, row: Row) -> Row:
        """Return a row of a file in the form that it is kept in."""
        return row

    def is_gone(self, _row: Row) -> bool:
        """Return whether a row that is there counts as dropped already."""
        return False


def shape_of(path: Path) -> tuple[str, ...]:
    """Return the shape of a path."""
    return path[::2]
