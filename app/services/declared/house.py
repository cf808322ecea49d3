"""What is chosen at run time and said to everybody, as a file tells it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from app.services import announcements, choices
from app.services.choices import Choices
from app.services.declared.kinds import Found, Kind, Putting

if TYPE_CHECKING:
    from app.services.declared.reading import Path, Row


class Settings(Kind):
    """What administrators choose at run time: one row, always there."""

    shape = ("settings",)

    def found(self) -> Iterator[Found]:
        yield Found(self.shape, asdict(choices.present()), all(row.declared for row in self.rows(self.shape)))

    def put(self, putting: Putting) -> None:
        choices.choose(Choices(**putting.row), actor=None)

    def normal(self, _path: Path, row: Row) -> Row:
        if "mail_domains" not in row:
            return row
        return row | {"mail_domains": " ".join(row["mail_domains"].lower().replace(",", " ").split())}

    def rows(self, path: Path) -> Iterable[Any]:
        return choices.rows()


class Announcements(Kind):
    """Short notices, by their texts."""

    shape = ("announcements",)

    def found(self) -> Iterator[Found]:
        for row in announcements.list_all():
            yield Found(("announcements", row.text), {"ends_at": row.ends_at}, row.declared)

    def put(self, putting: Putting) -> None:
        ends_at = putting.row.get("ends_at")
        if putting.before is None:
            announcements.say(putting.path[1], ends_at=ends_at, actor=None)
        else:
            for row in self.rows(putting.path):
                announcements.end_at(row.id, ends_at, actor=None)

    def drop(self, path: Path) -> None:
        for row in self.rows(path):
            announcements.take_back(row.id, actor=None)

    def rows(self, path: Path) -> Iterable[Any]:
        return [row for row in announcements.list_all() if row.text == path[1]]
