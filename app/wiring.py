"""The only place where services meet the relay."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

from flask import Flask
from sqlalchemy import Engine

from app.api import Machinery
from app.protocol.call import Place
from app.protocol.record import Record
from app.relay.attempt import Attempts, Limits
from app.relay.connect import Connector
from app.relay.drain import Drain
from app.relay.egress import Egress
from app.relay.ports import Accounts
from app.relay.room import Room
from app.relay.run import Relay
from app.relay.running import running, told
from app.relay.watch import Watch
from app.services import shared
from app.services import traces as tracing
from app.services.affinity import Affinity
from app.services.alerts import Alerts
from app.services.batch import Writer
from app.services.beginnings import UnderWay
from app.services.board import Alone, Board
from app.services.call_log import CallLog
from app.services.callers import Callers
from app.services.choosing import Choice, Signs
from app.services.codex_accounts import KIND as CODEX
from app.services.codex_accounts import CodexAccounts
from app.services.context import Context
from app.services.counters import Counters
from app.services.directory import Directory
from app.services.dismissals import Dismissals
from app.services.explain import Explainer
from app.services.health import Health
from app.services.journal import Journal
from app.services.ledger import Ledger
from app.services.limits import Limits as CallLimits
from app.services.line import Line
from app.services.load import Load
from app.services.mail import Mail
from app.services.meter import Meter
from app.services.metrics import FOLDER as METRICS_FOLDER
from app.services.metrics import Metrics, offered
from app.services.pen import Pen
from app.services.pending import Pending
from app.services.recounter import Recounter
from app.services.recounts import Recounts
from app.services.registry import Registry
from app.services.routing import Router
from app.services.running import RunningBoard
from app.services.scribe import Scribe
from app.services.shared import Breaker
from app.services.shared_board import SharedBoard
from app.services.shared_counters import SharedCounters
from app.services.shared_recounts import SharedRecounts
from app.services.spent import Spent
from app.services.standing import Standings
from app.services.traces import Traces
from app.services.unread import Unread
from app.services.vault import Vault
from app.settings import Settings
from app.upstreams.codex_account import token_url


@dataclass(slots=True)
class House:
    """The parts of one worker that live as long as it does."""

    directory: Directory
    scribe: Scribe
    pen: Pen
    egress: Egress
    watch: Watch
    drain: Drain
    room: Room
    calls: CallLog
    metrics: Metrics
    alerts: Alerts
    counters: Counters
    recounter: Recounter
    board: Board
    load: Load
    codex: CodexAccounts
    running: RunningBoard
    pending: Pending
    mail: Mail
    traces: Traces
    settings: Settings
    started: bool = False

    def start(
        self,
        alive: Callable[[], bool] = lambda: True,
        close_idle: Callable[[], None] = lambda: None,
        close_all: Callable[[], None] = lambda: None,
    ) -> None:
        """Begin to work, in this worker's hub.

        ``alive`` tells whether the server wants the worker to live on, ``close_idle`` ends connections without a call,
        ``close_all`` every one.
        """
        if self.started:
            return
        self.started = True
        self.directory.start()
        self.pen.start()
        self.egress.start()
        self.watch.start()
        self.drain.start(alive, close_idle, close_all)
        self.calls.start()
        self.counters.start()
        self.recounter.start()
        self.board.start()
        self.load.start()
        if offered(self.settings):
            self.metrics.start()
        if tracing.offered():
            self.traces.start()
        self.alerts.start()
        self.codex.start()
        self.running.start()
        self.pending.start()
        self.mail.start()

    def stop(self) -> None:
        """Write what waits."""
        self.codex.stop()
        self.pen.flush()
        self.calls.flush()
        self.traces.stop()


def furnish(app: Flask, settings: Settings, engine: Engine) -> House:
    """Put one application's parts together and hand each room its own."""
    vault = Vault(settings.vault_keys.get_secret_value().replace(",", " ").split())
    directory = Directory(engine, vault, mark_key=settings.signing_keys[0])
    egress = Egress(settings)
    calls, scribe, pen = _writing(engine, settings)
    watch = Watch(write_s=settings.write_s, total_s=settings.stream_total_s, heartbeat_s=settings.heartbeat_s)
    directory.on_cut = watch.stop
    room = Room(watch.live)
    drain = Drain(watch, room, drain_s=settings.drain_s)
    meter, traces = Meter(), Traces(directory)
    counters, recounts, board = _sharing(settings)
    recounter, spent = Recounter(engine, directory, recounts), Spent(engine)
    pen.uncounted = recounter.doubt
    limits, standings = CallLimits(directory, counters, spent), Standings(counters, spent)
    counters.calls = UnderWay(directory, pen, spent, traces=partial(told, watch.live), limits=limits)
    codex = CodexAccounts(engine, vault, directory, egress, token_url=token_url(settings.codex_login_url))
    accounts: dict[str, Accounts] = {CODEX: codex}
    signs = _signs(board, accounts, settings, dismiss=Dismissals(engine).dismiss)
    router, unread = Router(directory, signs), Unread(board, life_s=settings.affinity_s)
    attempts = Attempts(egress, Limits(settings.first_byte_s, settings.stream_idle_s, settings.opening_s))
    registry = Registry(engine, pen, directory)
    ledger = Ledger(engine, pen, directory, limits, listeners=_listeners(settings, meter, traces))
    relay = Relay(
        registry=registry,
        router=router,
        ledger=ledger,
        limits=limits,
        connector=Connector(attempts, accounts, unread, attempts_max=settings.attempts_max),
        watch=watch,
        drain=drain,
    )
    callers = Callers(directory, stale_max_s=settings.auth_stale_max_s)
    under_way = RunningBoard(engine, directory, partial(running, watch.live))
    explainer, post = Explainer(directory, signs, board), Mail(settings, app.app_context)
    app.extensions["realms"] = Context(settings, vault, directory, egress, standings, explainer, under_way, post, pen)
    metrics = Metrics(settings.data_dir / METRICS_FOLDER, meter, _gauges(pen, room, drain, directory))
    house = House(
        directory, scribe, pen, egress, watch, drain, room, calls, metrics, Alerts(egress, settings), counters,
        recounter, board, signs.load, codex, under_way, Pending(engine, registry, ledger, egress), post, traces,
        settings,
    )  # fmt: skip
    app.extensions["realms.api"] = Machinery(
        settings, relay, callers, router, directory, drain, standings, metrics, house.start
    )
    return house


def _writing(engine: Engine, settings: Settings) -> tuple[CallLog, Scribe, Pen]:
    """Return what writes records, owners and the log's lines of calls."""
    calls = CallLog()
    scribe = Scribe(Writer(engine, calls))
    return calls, scribe, Pen(engine, Journal(settings.data_dir / "journal"), scribe.write)


def _sharing(settings: Settings) -> tuple[Counters, Recounts, Board]:
    """Return what counts for limits and what doubts that, and where workers tell one another what they know."""
    client = shared.connect(settings)
    if client is None:
        counters = Counters(share=settings.workers)
        return counters, Recounts(counters), Alone()
    breaker = Breaker(client)
    shared_counters = SharedCounters(client, share=settings.workers, breaker=breaker)
    return shared_counters, SharedRecounts(shared_counters, client, breaker), SharedBoard(client, breaker)


def _listeners(settings: Settings, meter: Meter, traces: Traces) -> list[Callable[[Record], None]]:
    """Return who is told of each settled call: only those who have somebody to tell."""
    heard = ((meter.count, offered(settings)), (traces.add, tracing.offered()))
    return [listen for listen, wanted in heard if wanted]


def _gauges(pen: Pen, room: Room, drain: Drain, directory: Directory) -> dict[str, Callable[[], float]]:
    """Return what can be read off this worker at any moment."""
    return {
        "realms_calls_running": lambda: room.taken,
        "realms_calls_most": lambda: room.most,
        "realms_draining": lambda: drain.draining,
        "realms_journal_bytes": lambda: pen.backlog,
        "realms_snapshot_age_seconds": directory.age_s,
    }


def _signs(
    board: Board, accounts: Mapping[str, Accounts], settings: Settings, *, dismiss: Callable[[Place], None]
) -> Signs:
    """Return what calls are placed by."""
    line: Line[Choice] = Line()
    return Signs(
        health=Health(
            board,
            cooldown_s=settings.cooldown_s,
            failures=settings.cooldown_failures,
            window_s=settings.cooldown_window_s,
            changed=line.changed,
        ),
        load=Load(board, changed=line.changed),
        affinity=Affinity(board, life_s=settings.affinity_s),
        accounts=accounts,
        dismiss=dismiss,
        line=line,
        queue_wait_s=settings.queue_wait_s,
    )
