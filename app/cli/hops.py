"""``flask doctor --client``: walks the way that a client's calls take, names the hop where it breaks, and the mend.

Speaks HTTP by itself, with nothing of the relay's own: what it finds is what a client would.
"""

from __future__ import annotations

import http.client
import json
import secrets
import socket
import ssl
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from urllib.parse import quote, urlsplit

from app.cli.checks import FAILED, OK, WARNING, Check

TIMEOUT_S = 60.0
LARGE = 8 * 1024 * 1024
"""Bytes of a request with a screenshot or two; a proxy's own default is often one MiB."""
APPEAR_S = 5.0
"""How long the record of a call may take to be told."""
ENOUGH, FAIR, APART_S = 20, 8, 0.002
"""Events from which on it can be told whether they were held back; how many may come together; what is together."""
ENDS = (b"response.completed", b"response.incomplete", b"[DONE]", b"message_stop")
QUESTION, TOKENS = "Count from one to forty.", 64
NOT_THERE = {404, 501}
"""What an upstream answers that knows Chat Completions alone."""
ANTHROPIC = {"anthropic-version": "2023-06-01"}
COUNTED = "The upstream, or its answer, is the broken hop: ask an administrator for flask upstreams test, and /admin."


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``moments`` are those at which pieces of the body came, in seconds since the request."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    moments: tuple[float, ...] = ()

    @property
    def value(self) -> Any:
        """The body as JSON, None where it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def ours(self) -> bool:
        """Whether Realms answered, and not something before it."""
        return "x-request-id" in self.headers


@dataclass(slots=True)
class Walk:
    """One way to one Realms: ``base`` is its address without ``/v1``."""

    base: str
    token: str
    model: str = ""
    _anthropic: bool = False
    session: str = field(default_factory=lambda: f"doctor-{secrets.token_hex(8)}")

    def checks(self) -> Iterator[Check]:
        """Yield what each step found; the first fatal one is the last."""
        for step in (self._address, self._hello, self._authentication, self._models, self._large, self._talk):
            for check in step():
                yield check
                if check.fatal:
                    return

    def _address(self) -> Iterator[Check]:
        parts = urlsplit(self.base)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        try:
            with socket.create_connection((parts.hostname or "", port), TIMEOUT_S) as plain:
                if parts.scheme == "https":
                    ssl.create_default_context().wrap_socket(plain, server_hostname=parts.hostname).close()
        except socket.gaierror:
            yield _broken("address", f"{parts.hostname} is not known", "Mend the name in the address, or DNS.")
        except ssl.SSLError as error:
            fix = "The proxy is the broken hop: give it a certificate for this name that this machine trusts."
            yield _broken("address", f"TLS: {error.reason or error}", fix)
        except OSError as error:
            fix = "Nothing listens there: start the proxy, or open the firewall before it."
            yield _broken("address", f"{parts.hostname}:{port}: {error.strerror or error}", fix)
        else:
            yield Check("address", OK, f"{parts.hostname}:{port}")

    def _hello(self) -> Iterator[Check]:
        answer = self.ask("GET", "/livez")
        if answer.status == 200 and answer.value == {"status": "ok"}:
            yield Check("proxy", OK, "Realms answers")
        elif answer.status in {502, 503, 504}:
            fix = "Between proxy and Realms: start Realms, or mend the address that the proxy passes calls to."
            yield _broken("proxy", f"status {answer.status} from what stands before Realms", fix)
        else:
            fix = "The address leads elsewhere. It is given without /v1, as Anthropic clients want it."
            yield _broken("proxy", f"/livez answered {answer.status}, and not as Realms does", fix)

    def _authentication(self) -> Iterator[Check]:
        answer = self.ask("GET", "/v1/models")
        if answer.status == 200:
            yield Check("authentication", OK, "the token is known")
            return
        other = self.ask("GET", "/v1/models", headers={"x-api-key": self.token, "authorization": ""})
        if other.status == 200:
            fix = "The proxy is the broken hop: it must pass the Authorization header on."
        elif not answer.ours:
            fix = "The proxy is the broken hop: it answers /v1 by itself; a sign-in of its own must leave /v1 out."
        elif answer.status == 401:
            fix = "Make another token, and mind that it is copied whole; this one is unknown, revoked or expired."
        else:
            fix = "Realms says why; mend that."
        yield _broken("authentication", f"{answer.status}: {_message(answer)}", fix)

    def _models(self) -> Iterator[Check]:
        openai, anthropic = (self._listed(headers) for headers in ({}, ANTHROPIC))
        names = [*openai, *anthropic]
        if not self.model and not names:
            yield _broken("models", "this token reaches none", "Ask an administrator to import models, or allow some.")
            return
        self.model = self.model or names[0]
        path = f"/v1/models/{quote(self.model)}"  # asked for, because patterns serve models that no list names
        asked = self.ask("GET", path)
        if asked.status != 200:
            asked = self.ask("GET", path, headers=ANTHROPIC)
            self._anthropic = asked.status == 200
        if asked.status != 200:
            yield _broken("models", _message(asked), "Choose one of: " + ", ".join(names[:10]))
            return
        yield Check("models", OK, f"{len(names)} listed, {self.model} is tried")

    def _listed(self, headers: Mapping[str, str]) -> list[str]:
        told = self.ask("GET", "/v1/models", headers=headers).value
        rows = told.get("data", []) if isinstance(told, dict) else []
        return [row["id"] for row in rows]

    def _large(self) -> Iterator[Check]:
        answer = self.ask("POST", "/v1/responses", body={"model": "doctor-asks-for-no-model", "input": "x" * LARGE})
        if answer.ours and answer.status == 404:
            yield Check("large requests", OK, f"{LARGE // 1024 // 1024} MiB pass")
        elif answer.status == 413:
            name = "Realms: raise REALMS_BODY_MAX_MB" if answer.ours else "The proxy: raise client_max_body_size"
            yield Check("large requests", FAILED, "413: too large", f"{name} (nginx), to 33 MiB or more.")
        else:
            yield Check("large requests", FAILED, f"{answer.status}: {_message(answer)}", "Let large bodies pass.")

    def _talk(self) -> Iterator[Check]:
        headers = {"session_id": self.session} | (ANTHROPIC if self._anthropic else {})
        for path, body in _questions(self.model, anthropic=self._anthropic):
            answer = self.ask("POST", path, body=body, headers=headers)
            if answer.status not in NOT_THERE:
                break
        yield self._stream(answer)
        if answer.status == 200:
            yield self._buffering(answer)
            yield self._session()
        if self._anthropic:
            counted = self.ask(
                "POST", "/v1/messages/count_tokens", body=body | {"stream": None, "max_tokens": None}, headers=ANTHROPIC
            )
            found = counted.status == 200 and "input_tokens" in (counted.value or {})
            detail = "counted" if found else f"{counted.status}: {_message(counted)}"
            yield Check("count_tokens", OK if found else FAILED, detail, "" if found else COUNTED)

    def _stream(self, answer: Answer) -> Check:
        if answer.status != 200:
            return Check("stream", FAILED, f"{answer.status}: {_message(answer)}", COUNTED)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            return Check("stream", FAILED, "the answer is no stream", COUNTED)
        if not any(end in answer.body for end in ENDS):
            fix = "If it ended after the same time as another: the proxy's read timeout; raise it above an hour."
            return Check("stream", FAILED, f"it broke off after {answer.moments[-1:] or (0,)} s", fix)
        return Check("stream", OK, f"whole, in {answer.moments[-1]:.1f} s")

    def _buffering(self, answer: Answer) -> Check:
        events = answer.body.count(b"\n\n")
        bursts = sum(later - sooner > APART_S for sooner, later in pairwise((-1.0, *answer.moments)))
        if events < ENOUGH:
            return Check("buffering", WARNING, f"{events} events are too few to tell", "Try another: --model NAME")
        if bursts * FAIR >= events:
            return Check("buffering", OK, f"{events} events came in {bursts} pieces")
        fix = "The proxy is the broken hop: switch buffering off (proxy_buffering off; flush_interval -1)."
        return Check("buffering", FAILED, f"{events} events came in {bursts} pieces", fix)

    def _session(self) -> Check:
        until = time.monotonic() + APPEAR_S
        while time.monotonic() < until:
            if self.ask("GET", f"/v1/usage/conversations/{self.session}").status == 200:
                return Check("session_id header", OK, "it arrives")
            time.sleep(0.2)
        fix = "The proxy drops it: set underscores_in_headers on (nginx); older Codex CLIs lose their cache without it."
        return Check("session_id header", FAILED, "it doesn't arrive", fix)

    def ask(self, method: str, path: str, *, body: Any = None, headers: Mapping[str, str] | None = None) -> Answer:
        """Make one request; one that gets no answer has the status 0."""
        parts = urlsplit(self.base)
        kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=TIMEOUT_S)
        sent = {"authorization": f"Bearer {self.token}", "content-type": "application/json", **(headers or {})}
        since = time.monotonic()
        try:
            told = None if body is None else json.dumps({k: v for k, v in body.items() if v is not None}).encode()
            connection.request(method, parts.path + path, told, {name: value for name, value in sent.items() if value})
            return _read(connection.getresponse(), since)
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, {}, str(error).encode())
        finally:
            connection.close()


def _read(answer: http.client.HTTPResponse, since: float) -> Answer:
    pieces, moments = [], []
    try:
        while piece := answer.read1(65536):
            pieces.append(piece)
            moments.append(time.monotonic() - since)
    except (OSError, http.client.HTTPException):
        pass  # what came is what there is
    headers = {name.lower(): value for name, value in answer.getheaders()}
    return Answer(answer.status, headers, b"".join(pieces), tuple(moments))


def _questions(model: str, *, anthropic: bool) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield questions with answers just long enough to see how they come; the second where the first has no address."""
    messages = [{"role": "user", "content": QUESTION}]
    if anthropic:
        yield "/v1/messages", {"model": model, "max_tokens": TOKENS, "stream": True, "messages": messages}
        return
    asked = {"model": model, "input": QUESTION, "max_output_tokens": TOKENS, "store": False, "stream": True}
    yield "/v1/responses", asked
    yield (
        "/v1/chat/completions",
        {"model": model, "max_completion_tokens": TOKENS, "stream": True, "messages": messages},
    )


def _message(answer: Answer) -> str:
    value = answer.value
    error = value.get("error") if isinstance(value, dict) else None
    told = error.get("message") if isinstance(error, dict) else None
    return str(told or answer.body[:80].decode("utf-8", "replace"))


def _broken(name: str, detail: str, fix: str) -> Check:
    return Check(name, FAILED, detail, fix, fatal=True)
