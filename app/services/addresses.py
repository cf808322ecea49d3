"""The addresses that upstreams are called at, in one canonical form."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit, urlunsplit

from app.services.fields import line
from app.services.wording import say as _

if TYPE_CHECKING:
    from app.services.fields import Refuse

LONGEST = 500


def normal_base_url(text: str, *, refuse: Refuse) -> str:
    """Return a base URL as it is kept. Raises ``refuse`` for what no upstream can be called at."""
    text = line(text, field="base_url", longest=LONGEST, refuse=refuse)
    problem = refuse("base_url", _("Enter an http or https address, for example https://api.example.com/v1."))
    try:
        parts = urlsplit(text)
        port = "" if parts.port is None else f":{parts.port}"
    except ValueError:
        raise problem from None
    host = (parts.hostname or "").lower()
    if parts.scheme not in {"http", "https"} or not host or not text.isascii() or {" ", "\\"} & set(text):
        raise problem
    if "@" in parts.netloc or "?" in text or "#" in text:
        raise refuse("base_url", _("Leave out user name, password, query and fragment."))
    return urlunsplit((parts.scheme, (f"[{host}]" if ":" in host else host) + port, parts.path.rstrip("/"), "", ""))
