"""Where a form may send the browser next: only to a path of our own."""

from __future__ import annotations

from urllib.parse import unquote

HOME = "/"
LONGEST = 2000


def safe_next(target: str | None) -> str:
    """Return ``target`` when it is a plain path of this site, else the home page.

    Never a value that any browser could read as another host: two slashes or a backslash at its start, once or twice
    percent-encoded, or a control character anywhere.
    """
    if not target or len(target) > LONGEST:
        return HOME
    for form in (target, unquote(target), unquote(unquote(target))):
        if not form.startswith("/") or form.startswith("//") or "\\" in form or not form.isprintable():
            return HOME
    return target
