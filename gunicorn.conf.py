"""The process model. Read before anything is patched: imports nothing at the top, and each bare name is a setting."""


def _env(name, default):
    import os

    return os.environ.get(f"REALMS_{name}") or default


def _number(name, default):
    """A mistake here is told by `on_starting`, together with all others."""
    try:
        return max(0, int(float(_env(name, default))))
    except (ValueError, OverflowError):
        return default


def _address():
    host, _, port = _env("BIND", "").rpartition(":")
    return f"{host}:{port}" if host and port.isdecimal() else "127.0.0.1:8080"


def _connections():
    """As many connections as descriptors allow: a relayed stream takes two."""
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return min(9_700, (hard - 500) // 2)


def _leave_no_core_files():
    """A core file would hold every secret that is in memory."""
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


_leave_no_core_files()
bind = _address()
workers = _number("WORKERS", 1) or 1
worker_class = "gevent"
http_parser = "python"  # gunicorn_h1c takes a bare LF and a folded name for what they are not
worker_connections = _number("WORKER_CONNECTIONS", 0) or _connections()
backlog = 4096
keepalive = _number("KEEPALIVE_S", 5)  # also the deadline for a request's head
timeout = 60  # only a loop that stands still trips it
graceful_timeout = _number("DRAIN_S", 595) + 5  # the master kills at this moment: drain ends before it
max_requests = 0  # a limit would cut long streams
limit_request_line = 8190
limit_request_fields = 100
limit_request_field_size = 8190
control_socket_disable = True
preload_app = False  # a reload must load the new code
proc_name = "realms"
accesslog = None  # one line for each call comes from the ledger
forwarded_allow_ips = "*"  # only so that the two names below pass; no scheme is believed from anyone
secure_scheme_headers = {}
forwarder_headers = "SESSION_ID,CONVERSATION_ID"  # Codex CLI of before 2026 writes them with an underscore


def on_starting(server):
    """Tell every mistake in the environment before anything binds."""
    import os
    import subprocess
    import sys

    inherited = server.master_pid or "LISTEN_FDS" in os.environ
    sockets = [] if inherited else [each for each in server.address if isinstance(each, tuple)]
    addresses = [f"{host}:{port}" for host, port, *_ in sockets]
    done = subprocess.run([sys.executable, "-m", "app.start", *addresses], check=False)
    if done.returncode:
        sys.exit(done.returncode)


def when_ready(server):
    """Bound what the kernel keeps for a reader that doesn't read, and how long it believes in one that is gone.

    A client whose network ends without a word is noticed within a minute. Accepted sockets inherit all of it.
    """
    import socket

    for listener in server.LISTENERS:
        listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        if listener.sock.family in (socket.AF_INET, socket.AF_INET6):
            listener.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 20)
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 10)
            listener.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 60_000)


def post_fork(server, worker):
    """End a worker that is told to stop before it can listen: otherwise the word is lost, and the deadline long."""
    import os
    import signal

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, lambda *_: os._exit(0))


def post_worker_init(worker):
    """Set the house going in this worker."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the master too, and that one tells us with SIGQUIT
    signal.signal(signal.SIGQUIT, lambda *_: _hurry(worker))
    from app import server as floor

    floor.install(worker)


def _hurry(worker):
    """Stop as at SIGTERM, but in seconds: somebody at a terminal waits."""
    import os

    import gevent

    worker.wsgi.extensions["realms.house"].drain.hurry()
    worker.alive = False
    gevent.spawn_later(5, os._exit, 0)


def worker_exit(server, worker):
    """Write what waits."""
    wsgi = getattr(worker, "wsgi", None)
    if wsgi is not None:
        wsgi.extensions["realms.house"].stop()
