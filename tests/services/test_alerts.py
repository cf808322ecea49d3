"""What cannot wait is posted to a webhook, once, without a secret, and nobody waits for it."""

import json
import os
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
import structlog
from pydantic import SecretStr

from app import logs
from app.relay.egress import Egress
from app.services import alerts as module
from app.services.alerts import AGAIN, Alerts

DISABLED = {"event": "credential_disabled", "level": "warning", "timestamp": "now", "credential": 7, "upstream": 3}


@contextmanager
def listening(statuses=()):
    """A webhook that answers so, then 200; yields its address and what it was told."""
    told, answers = [], iter(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            told.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(next(answers, 200))
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, *_):
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/hook?key=secret", told
        server.shutdown()


@pytest.fixture
def alerts_at(settings):
    def make(url):
        changed = settings.model_copy(update={"alert_url": SecretStr(url)})
        return Alerts(Egress(changed), changed)

    return make


def test_an_event_is_told_with_its_details(alerts_at):
    with listening() as (url, told):
        alerts = alerts_at(url)
        alerts.hear(DISABLED)
        alerts.tell()
    (alert,) = told
    assert (alert["event"], alert["details"]) == ("credential_disabled", {"credential": 7, "upstream": 3})
    assert alert["text"].endswith("credential_disabled credential=7 upstream=3")
    assert alert["at"].endswith("+00:00")


def test_what_can_wait_is_not_told(alerts_at):
    with listening() as (url, told):
        alerts = alerts_at(url)
        alerts.hear({"event": "page_failed"})
        alerts.tell()
    assert told == []


def test_workers_of_a_host_tell_each_thing_once_and_again_after_a_while(alerts_at, tmp_path):
    with listening() as (url, told):
        one, other = alerts_at(url), alerts_at(url)
        for alerts in (one, other, one):
            alerts.hear(DISABLED)
            alerts.tell()
        assert len(told) == 1
        other.hear(DISABLED | {"credential": 8})
        other.tell()
        assert len(told) == 2
        for path in (tmp_path / module.FOLDER).iterdir():
            long_ago = time.time() - AGAIN.total_seconds() - 1
            os.utime(path, (long_ago, long_ago))
        one.hear(DISABLED)
        one.tell()
        assert len(told) == 3


def test_a_webhook_that_stumbles_is_asked_again(alerts_at, monkeypatch):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    with listening([500, 503]) as (url, told):
        alerts = alerts_at(url)
        alerts.hear(DISABLED)
        alerts.tell()
    assert len(told) == 3


def test_a_webhook_that_is_away_is_given_up_and_logged_without_its_address(alerts_at, monkeypatch, capfd):
    monkeypatch.setattr(module, "PAUSE_S", 0.0)
    monkeypatch.setattr(module, "log", structlog.get_logger())  # one that hasn't made up its mind where to write
    alerts = alerts_at("http://127.0.0.1:1/hook?key=secret")
    with structlog.testing.capture_logs() as lines:
        alerts.hear(DISABLED)
        alerts.tell()
    assert [(line["event"], line["alert"]) for line in lines] == [("alert_not_sent", "credential_disabled")]


@pytest.mark.acceptance("M-3")
def test_m3_without_an_address_nothing_is_listened_to(alerts_at):
    before = list(logs.LISTENERS)
    alerts_at("").start()
    assert before == logs.LISTENERS


@pytest.mark.acceptance("I-5")
def test_the_log_is_what_is_listened_to(alerts_at, monkeypatch):
    heard = []
    monkeypatch.setattr(logs, "LISTENERS", [heard.append])
    logs._count(None, "warning", {"event": "redis_away"})
    assert heard == [{"event": "redis_away"}]
