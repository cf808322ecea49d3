"""All settings of one deployment together, and what follows from them."""

from __future__ import annotations

from typing import Self

from pydantic import SecretStr, model_validator

from app.settings.calling import Calling
from app.settings.keeping import Keeping
from app.settings.mailing import Mailing
from app.settings.running import Running
from app.settings.values import with_driver


class Settings(Calling, Keeping, Mailing, Running):
    """What one deployment runs with. Units stand in the names; secrets never show in ``repr``."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        self.fill("public_url", self.public_url or f"http://{self.bind}")
        url = self.database_url.get_secret_value() or f"sqlite:///{self.data_dir.absolute()}/realms.db"
        self.fill("database_url", SecretStr(with_driver(url)))
        self.fill("workers", self.workers or 1)
        self.fill("migrate", self.embedded if self.migrate is None else self.migrate)
        return self

    def fill(self, name: str, value: object) -> None:
        """Set what was left open, while the settings are made; afterwards they are frozen."""
        object.__setattr__(self, name, value)

    @property
    def embedded(self) -> bool:
        """Whether the database is SQLite, the default that needs no server."""
        return self.database_url.get_secret_value().startswith("sqlite")

    @property
    def https(self) -> bool:
        """Whether people reach this server under an https address."""
        return self.public_url.startswith("https://")

    @property
    def body_max_bytes(self) -> int:
        """The largest request body, in bytes, before and after decompression."""
        return int(self.body_max_mb * 1024 * 1024)
