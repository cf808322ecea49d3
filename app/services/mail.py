"""Sends mail, in the order it was asked for, while nobody waits: neither pages nor the hub."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from email.errors import MessageError
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import cached_property
from urllib.parse import unquote, urlsplit

import certifi
import gevent
import structlog
from gevent.queue import Empty, Full, Queue
from sqlalchemy.exc import SQLAlchemyError

from app.extensions import db
from app.settings import Settings
from app.settings.mailing import SCHEMES

WAITING_MAX = 500
TIMEOUT_S = 15.0
TRIES, PAUSE_S = 3, 5.0
log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Letter:
    """One mail, as plain text."""

    to: str
    subject: str
    text: str


Writer = Callable[[], Letter | None]
"""Writes a letter when its turn has come, or finds that there is none to send."""


class Mail:
    """The letters of this worker on their way to the mail server."""

    def __init__(self, settings: Settings, context: Callable[[], AbstractContextManager[object]]) -> None:
        self._url = urlsplit(settings.smtp_url.get_secret_value())
        self._from = settings.mail_from
        self._context = context
        self._waiting: Queue[Writer] = Queue(WAITING_MAX)
        self._ca_file = settings.ca_file

    @property
    def offered(self) -> bool:
        """Whether mail can be sent at all."""
        return bool(self._url.hostname)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """What servers are trusted; read when the first is called."""
        trusted = ssl.create_default_context(cafile=certifi.where())
        if self._ca_file:
            trusted.load_verify_locations(self._ca_file)
        return trusted

    def later(self, write: Writer) -> None:
        """Let a letter be written and sent. Who asks learns nothing of it, nor how long it takes."""
        try:
            self._waiting.put_nowait(write)
        except Full:
            log.warning("mail_not_sent", reason="too many wait")

    def start(self) -> None:
        """Begin to send, in this worker's hub."""
        if self.offered:
            gevent.spawn(self._send_for_ever)

    def deliver(self) -> None:
        """Send what waits."""
        with suppress(Empty):
            while True:
                self._post(self._waiting.get_nowait())

    def reach(self) -> str:
        """Return what the mail server says it is, signed in to and left again. Raises ``OSError``."""
        with self._connected() as server:
            code, told = server.noop()
            return f"{self._url.hostname} answers {code} {told.decode('utf-8', 'replace')}"

    def _send_for_ever(self) -> None:
        while True:
            self._post(self._waiting.get())

    def _post(self, write: Writer) -> None:
        letter = self._written(write)
        for attempt in range(TRIES if letter else 0):
            if attempt:
                gevent.sleep(PAUSE_S * attempt)
            try:
                self._send(letter)
            except (OSError, ValueError, MessageError) as error:
                log.warning("mail_not_sent", reason=type(error).__name__, attempt=attempt + 1)
                if not _may_pass(error):
                    return
            else:
                return

    def _written(self, write: Writer) -> Letter | None:
        with self._context():
            try:
                return write()
            except SQLAlchemyError as error:
                log.warning("mail_not_sent", reason=type(error).__name__)
                return None
            finally:
                db.session.remove()

    def _send(self, letter: Letter | None) -> None:
        if letter is None:
            return
        message = EmailMessage()
        message["From"] = Address("Realms", addr_spec=self._from)
        message["To"] = Address(addr_spec=letter.to)
        message["Subject"], message["Date"] = letter.subject, formatdate()
        message["Message-ID"] = make_msgid(domain=self._from.rpartition("@")[2])
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(letter.text)
        with self._connected() as server:
            server.send_message(message, self._from, [letter.to])

    def _connected(self) -> smtplib.SMTP:
        """Return a connection to the mail server, encrypted unless the operator wants it plain, and signed in."""
        scheme, host = self._url.scheme, self._url.hostname or ""
        port = self._url.port or SCHEMES[scheme]
        if scheme == "smtps":
            server: smtplib.SMTP = smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=self._tls)
        else:
            server = smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        try:
            if scheme == "smtp":
                server.starttls(context=self._tls)
            if self._url.username:
                server.login(unquote(self._url.username), unquote(self._url.password or ""))
        except BaseException:
            server.close()
            raise
        return server


def _may_pass(error: Exception) -> bool:
    """Whether the same letter may be taken later: nobody answered, or the server said so (4xx)."""
    if isinstance(error, smtplib.SMTPResponseException):
        return 400 <= error.smtp_code < 500
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        return any(400 <= code < 500 for code, _told in error.recipients.values())
    return isinstance(error, (smtplib.SMTPServerDisconnected, ConnectionError, TimeoutError))
