"""Static files compressed, once for each. Pages are not: their length would tell of secrets beside what was asked."""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING

from flask import request

if TYPE_CHECKING:
    from flask import Flask, Response

TEXT = frozenset({"text/css", "text/javascript", "application/javascript", "image/svg+xml"})


def init_app(app: Flask) -> None:
    """Compress static text for browsers that take it."""
    kept: dict[str, bytes] = {}

    @app.after_request
    def compress(response: Response) -> Response:
        if request.path.startswith("/static/") and response.status_code == 200 and response.mimetype in TEXT:
            response.vary.add("Accept-Encoding")
            if request.accept_encodings["gzip"] > 0:
                _compress(response, kept)
        return response


def _compress(response: Response, kept: dict[str, bytes]) -> None:
    etag = response.get_etag()[0] or ""
    response.direct_passthrough = False
    if etag not in kept:
        kept[etag] = gzip.compress(response.get_data(), 9, mtime=0)
    response.close()  # the file, which nobody may have read
    response.set_data(kept[etag])
    response.headers["Content-Encoding"] = "gzip"
    response.set_etag(f"{etag}-gzip")
