"""Tells a webhook of what cannot wait: each thing once in a while, however many workers of a host see it."""

from __future__ import annotations

import os
import socket
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from hashlib import blake2b
from pathlib import Path
from typing import Any

import gevent
import msgspec
import structlog

from app import logs
from app.models.base import utcnow
from app.relay.egress import Egress, EgressError
from app.settings import Settings

TOLD = frozenset({
    "left_out", "taken_back", "credential_disabled", "credential_unusable", "codex_account_needs_reconnect",
    "database_unavailable", "database_back", "redis_away", "redis_back", "journal_failed",
    "journal_not_adopted", "record_refused", "claim_refused", "ownership_conflict",
})  # fmt: skip
AGAIN = timedelta(minutes=10)
LOOK_S = 0.5
TRIES, PAUSE_S = 3, 5.0
WAITING_MAX = 100
FOLDER = "alerts"
ABOUT = ("what", "upstream", "credential")
"""What tells two alerts of the same event apart; of these there are few."""
_OURS = frozenset({"event", "level", "timestamp"})
log = structlog.get_logger()


class Alerts:
    """Listens to the log of this process."""

    def __init__(self, egress: Egress, settings: Settings) -> None:
        self._egress = egress
        self._url = settings.alert_url.get_secret_value()
        self._folder = settings.data_dir / FOLDER
        self._waiting: deque[dict[str, Any]] = deque(maxlen=WAITING_MAX)

    def start(self) -> None:
        """Begin to listen and to tell, in this worker's hub; without an address do nothing."""
        if self._url:
            logs.LISTENERS.append(self.hear)
            gevent.spawn(self._tell_for_ever)

    def hear(self, event: Mapping[str, Any]) -> None:
        """Take note of an event; quick, for whoever logs waits."""
        if event["event"] in TOLD:
            self._waiting.append(dict(event))

    def _tell_for_ever(self) -> None:
        while True:
            gevent.sleep(LOOK_S)
            self.tell()

    def tell(self) -> None:
        """Tell what waits."""
        while self._waiting:
            event = self._waiting.popleft()
            if self._is_first(event):
                self._post(event)

    def _is_first(self, event: Mapping[str, Any]) -> bool:
        """Whether nobody on this host has told of it lately; a file in the data directory says so to all workers."""
        about = "|".join(str(event.get(name, "")) for name in ("event", *ABOUT))
        path = self._folder / blake2b(about.encode(), digest_size=16).hexdigest()
        try:
            self._folder.mkdir(exist_ok=True)
            _forget_if_old(path)
            os.close(os.open(path, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        except OSError:
            return True  # a full disk is no reason to be silent
        return True

    def _post(self, event: dict[str, Any]) -> None:
        details = {name: value for name, value in event.items() if name not in _OURS}
        said = " ".join(f"{name}={value}" for name, value in details.items())
        told = {
            "event": event["event"],
            "at": utcnow().isoformat(timespec="seconds"),
            "host": socket.gethostname(),
            "details": details,
            "text": f"Realms on {socket.gethostname()}: {event['event']} {said}".strip(),
        }
        body = msgspec.json.encode(told, enc_hook=str)
        for attempt in range(TRIES):
            if attempt:
                gevent.sleep(PAUSE_S * attempt)
            if self._posted(body):
                return
        log.warning("alert_not_sent", alert=event["event"])

    def _posted(self, body: bytes) -> bool:
        headers = {"content-type": "application/json", "user-agent": "realms"}
        try:
            return self._egress.fetch("POST", self._url, proxy=None, headers=headers, body=body).status < 400
        except EgressError:
            return False


def _forget_if_old(path: Path) -> None:
    with suppress(FileNotFoundError):
        if utcnow().timestamp() - path.stat().st_mtime > AGAIN.total_seconds():
            path.unlink()
