"""How a model answers, said by its own name: everything after the first `+` is `key=value`, joined by commas.

`sim-1+events=1000,gap=0.02,fault=crlf,fault=split:7`: see the fields of `Options`.  The control call may give
the same words, or a bare fault's name, for the next requests of any model.
"""

from functools import lru_cache

import msgspec


class Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    events: int = 0
    """Number of text deltas; 0: one for each word of the answer."""
    bytes: int = 5
    """Size of each delta's text, where `events` is given."""
    size: int = 0
    """Size of the answer's text."""
    gap: float = 0.0
    """Seconds between events."""
    ttfb: float = 0.0
    """Seconds before the headers."""
    first: float = 0.0
    """Seconds between the headers and the first event, or the body."""
    status: int = 0
    """Answer with this status and a real-shaped error body."""
    code: str | None = None
    type: str | None = None
    retry_after: str | None = None
    rejects: str = ""
    """A member that requests may not have here."""
    input: int | None = None
    """Usage to report, instead of what was counted: this and the next four."""
    output: int | None = None
    cached: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None
    end: str = "completed"
    """How the answer ends: completed, incomplete, failed."""
    background: float = 0.3
    """Seconds a background response takes."""
    faults: tuple[str, ...] = ()

    @property
    def paced(self) -> bool:
        return bool(self.gap or self.ttfb or self.first)


class BadOptionsError(ValueError):
    """A word that no option or fault has."""


NO_OPTIONS = Options()


def as_options(text: str) -> str:
    """A control call's word as option text: `reset_at:9` means `fault=reset_at:9`."""
    return text if "=" in text.partition(":")[0] else f"fault={text}"


@lru_cache(maxsize=4096)
def parse(text: str) -> Options:
    fields: dict[str, object] = {}
    faults: list[str] = []
    for pair in filter(None, text.split(",")):
        key, found, value = pair.partition("=")
        if not found:
            raise BadOptionsError(f"simulator: {pair!r} is not key=value")
        if key == "fault":
            faults.append(value)
        else:
            fields[key] = value
    try:
        return msgspec.convert(fields | {"faults": tuple(faults)}, Options, strict=False)
    except msgspec.ValidationError as error:
        raise BadOptionsError(f"simulator: {error}") from error
