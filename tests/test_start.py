"""`gunicorn wsgi:app` starts, or says what to mend and exits 78 before anything listens."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import databases
from tests.live import ROOT, ask, free_port, until

pytestmark = pytest.mark.slow

KEY = "a-key-for-tests-that-is-long-enough-to-pass"
PASSWORD = "correct horse battery staple"
EXIT_CONFIG = 78


def command(tmp_path, environment):
    """A start on a free port and in a data directory of the test's own."""
    ours = {"REALMS_BIND": f"127.0.0.1:{free_port()}", "REALMS_DATA_DIR": str(tmp_path / "data")} | environment
    others = {name: value for name, value in os.environ.items() if not name.startswith("REALMS_")}
    return {"args": [sys.executable, "-m", "gunicorn", "wsgi:app"], "cwd": ROOT, "env": others | ours}


def ran(tmp_path, *arguments, stdin="", **environment):
    """A program of this house, run to its good end."""
    asked = command(tmp_path, environment) | {"args": [sys.executable, *arguments]}
    return subprocess.run(**asked, input=stdin, capture_output=True, text=True, timeout=180, check=True)


def python(tmp_path, *arguments, **more):
    """What a program of this house prints."""
    return ran(tmp_path, *arguments, **more).stdout


def told_by(tmp_path, **environment):
    """What a start that is right tells on standard error."""
    return ran(tmp_path, "-m", "app.start", **environment).stderr


def checked(tmp_path, **environment):
    """What a start tells before the server runs."""
    return python(tmp_path, "-m", "app.start", **environment)


def refused(tmp_path, **environment):
    """What a start tells that must end with 78."""
    done = subprocess.run(**command(tmp_path, environment), capture_output=True, text=True, timeout=180)
    assert done.returncode == EXIT_CONFIG, done.stderr
    assert "Traceback" not in done.stderr
    assert "Listening at" not in done.stderr
    return done.stderr


@pytest.fixture
def start(tmp_path):
    """Start a server, wait until it is ready, and return it with its port; each is stopped in the end."""
    started = []

    def starting(wait=True, **environment):
        asked = command(tmp_path, environment)
        with (tmp_path / f"log{len(started)}").open("w+") as log:
            process = subprocess.Popen(**asked, stdout=log, stderr=log)
        started.append(process)
        process.port = int(asked["env"]["REALMS_BIND"].rpartition(":")[2])
        process.told = (tmp_path / f"log{len(started) - 1}").read_text
        if wait:
            until(lambda: ready(process), seconds=60, every=0.05)
        return process

    yield starting
    for process in started:
        process.kill()
        process.wait()


def ready(process):
    assert process.poll() is None, process.told()
    try:
        return ask(process.port, "GET", "/readyz").status == 200
    except OSError:
        return False


def stop(process, number=signal.SIGTERM):
    process.send_signal(number)
    assert process.wait(30) == 0
    assert "Traceback" not in process.told()


# -- what is told -----------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("M-2")
def test_every_mistake_in_the_environment_is_told_at_once(tmp_path):
    mistakes = {
        "REALMS_BIND": "8080",
        "REALMS_WORKERS": "many",
        "REALMS_WORKER_CONNECTIONS": "x",
        "REALMS_KEEPALIVE_S": "soon",
        "REALMS_DRAIN_S": "inf inity",
        "REALMS_EGRESS_ALLOW": "here",
        "REALMS_SECRET_KEY": "short",
        "REALMS_VAULT_KEYS_FILE": str(tmp_path / "nowhere"),
        "REALMS_PUBLIC_URL": "example.com",
    }
    told = refused(tmp_path, **mistakes)
    lines = {line.partition(":")[0].strip(" -") for line in told.splitlines() if line.startswith("  - ")}
    assert lines == mistakes.keys()


def test_a_name_that_no_setting_has_is_told_with_the_nearest(tmp_path):
    told = refused(tmp_path, REALMS_BIN="127.0.0.1:1", REALMS_WORKERS="many")
    assert "REALMS_BIN is not a setting; did you mean REALMS_BIND?" in told


@pytest.mark.parametrize("number", ["-1", "0.5", "nan", "1e999"])
def test_a_number_that_the_server_itself_reads_is_told_by_us(tmp_path, number):
    assert "REALMS_WORKERS: " in refused(tmp_path, REALMS_WORKERS=number)


def test_an_address_that_is_taken_is_told_with_a_way_out(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        told = refused(tmp_path, REALMS_BIND=f"127.0.0.1:{port}")
    assert f"127.0.0.1:{port} is taken" in told
    assert f"REALMS_BIND=127.0.0.1:{port + 1}" in told


def test_an_address_of_another_machine_is_told(tmp_path):
    told = refused(tmp_path, REALMS_BIND="192.0.2.1:8080")
    assert "can't listen at 192.0.2.1:8080" in told


def test_a_database_that_is_away_is_told(tmp_path):
    url = f"postgresql://nobody@127.0.0.1:{free_port()}/realms"
    told = refused(tmp_path, REALMS_DATABASE_URL=url, REALMS_SECRET_KEY=KEY, REALMS_VAULT_KEYS=KEY)
    assert "the database can't be used" in told
    assert "REALMS_DATABASE_URL" in told


@pytest.mark.parametrize("folder", ["/proc/self", "taken"])
def test_a_data_directory_that_cannot_be_written_to_is_told(tmp_path, folder):
    """Where the database is elsewhere nothing else would tell it before the first record has to be kept."""
    (tmp_path / "taken").touch()
    elsewhere = {"REALMS_DATABASE_URL": f"sqlite:///{tmp_path}/other.db", "REALMS_DATA_DIR": str(tmp_path / folder)}
    told = refused(tmp_path, REALMS_SECRET_KEY=KEY, REALMS_VAULT_KEYS=f"{KEY}-2", **elsewhere)
    assert f"{tmp_path / folder} can't be written to" in told
    assert "REALMS_DATA_DIR" in told


def test_secrets_are_asked_for_where_a_database_server_is(tmp_path):
    told = refused(tmp_path, REALMS_DATABASE_URL="postgresql://nobody@127.0.0.1/realms")
    assert "REALMS_SECRET_KEY: is required" in told
    assert "REALMS_VAULT_KEYS: is required" in told


def test_a_schema_that_is_behind_is_refused_until_it_is_migrated(tmp_path, worker_name, start):
    with databases.postgresql_database(f"realms_start_{worker_name}_{os.getpid()}") as url:
        environment = {"REALMS_DATABASE_URL": url, "REALMS_SECRET_KEY": KEY, "REALMS_VAULT_KEYS": KEY}
        assert "flask --app wsgi db upgrade" in refused(tmp_path, **environment)
        databases.migrate(url)
        assert "/setup?token=" in checked(tmp_path, **environment)


def test_an_administrator_who_cannot_be_made_is_told(tmp_path):
    (tmp_path / "password").write_text("12345678")
    told = refused(tmp_path, REALMS_ADMIN_EMAIL="a@example.com", REALMS_ADMIN_PASSWORD_FILE=str(tmp_path / "password"))
    assert "REALMS_ADMIN_EMAIL: " in told


# -- the first starts -------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("M-1")
def test_the_set_up_link_works_and_is_told_until_there_is_an_administrator(tmp_path, start):
    server = start()
    link = f"http://127.0.0.1:{server.port}/setup?token="
    assert server.told().count(link) == 1
    line = next(line for line in server.told().splitlines() if link in line)
    assert ask(server.port, "GET", line.partition(str(server.port))[2]).status == 200
    stop(server)
    assert "/setup?token=" in checked(tmp_path)
    admin = ["-m", "flask", "--app", "wsgi", "admin", "create", "--email", "a@example.com", "--password-stdin"]
    python(tmp_path, *admin, stdin=PASSWORD)
    assert "/setup" not in checked(tmp_path)


def test_a_configured_administrator_needs_no_link(tmp_path):
    (tmp_path / "password").write_text(PASSWORD)
    named = {"REALMS_ADMIN_EMAIL": "a@example.com", "REALMS_ADMIN_PASSWORD_FILE": str(tmp_path / "password")}
    for _ in range(2):
        assert "/setup" not in checked(tmp_path, **named)


def test_a_wrong_vault_key_is_told_and_all_else_is_served(tmp_path, start):
    """As after a backup that was put back beside other secrets."""
    checked(tmp_path)
    named = ["upstreams", "add", "main", "--kind", "openai", "--key-stdin"]
    python(tmp_path, "-m", "flask", "--app", "wsgi", *named, stdin="sk-proj-0123456789abcdef")
    assert "warning" not in told_by(tmp_path)
    told = told_by(tmp_path, REALMS_VAULT_KEYS=KEY)
    assert "warning: REALMS_VAULT_KEYS opens 0 of 1 secrets, not main/default" in told
    assert "sk-proj" not in told
    server = start(REALMS_VAULT_KEYS=KEY)
    assert "main/default" in server.told()
    assert ask(server.port, "GET", "/healthz").status == 200
    stop(server)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_is_heard_while_a_worker_still_boots(start, number):
    server = start(wait=False)
    until(lambda: "Booting worker" in server.told(), seconds=60)
    stop(server, number)


def test_systemd_is_told_once_it_listens(start, tmp_path):
    """The unit is of the type that waits for this word."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(str(tmp_path / "notify"))
        told.settimeout(60)
        server = start(wait=False, NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert told.recv(1024).startswith(b"READY=1")
        assert "Listening at" in server.told()
        until(lambda: ready(server), seconds=60)
    stop(server)


@pytest.mark.acceptance("J-7")
def test_a_secret_that_comes_from_a_file_stands_in_no_environment(start, tmp_path):
    (tmp_path / "key").write_text(KEY)
    process = start(REALMS_SECRET_KEY_FILE=str(tmp_path / "key"), REALMS_VAULT_KEYS_FILE=str(tmp_path / "key"))
    workers = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    assert workers
    for pid in (process.pid, *workers):
        assert KEY.encode() not in Path(f"/proc/{pid}/environ").read_bytes()
