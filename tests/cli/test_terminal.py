"""The commands as an operator starts them: a process of their own, with real pipes and a real terminal."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from tests import databases

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
SIMPLE = {"PATH": os.environ["PATH"], "HOME": "/nonexistent"}


@pytest.fixture
def flask(tmp_path):
    """Runs `flask --app wsgi …` on an SQLite database in a folder of its own."""

    def run(*args, **more):
        env = {**SIMPLE, "REALMS_DATA_DIR": str(tmp_path)}
        command = [sys.executable, "-m", "flask", "--app", "wsgi", *args]
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, **more)

    return run


def test_a_fresh_house_is_furnished_from_the_command_line(flask):
    assert flask("db", "upgrade").returncode == 0
    link = flask("setup-link").stdout
    assert link.startswith("http://127.0.0.1:8080/setup?token=")
    admin = flask("admin", "create", "--email", "root@example.com", "--password-stdin", input="correct horse battery\n")
    assert (admin.returncode, admin.stderr) == (0, "")
    token = flask("tokens", "create", "--user", "root@example.com", "--name", "first", input="")
    assert (token.returncode, token.stderr, len(token.stdout)) == (0, "", 47)


def test_a_database_that_was_never_migrated_is_told_in_a_sentence(flask):
    result = flask("users", "list")
    assert result.returncode == 1
    assert "flask doctor" in result.stderr
    assert "Traceback" not in result.stderr


def test_without_a_terminal_nothing_is_asked(flask):
    result = flask("admin", "create", "--email", "root@example.com", stdin=subprocess.DEVNULL)
    assert result.returncode == 2
    assert "--password-stdin" in result.stderr


def test_at_a_terminal_the_password_is_asked_for_and_not_shown(sqlite_template, tmp_path):
    databases.copy_of(sqlite_template, tmp_path / "realms.db")
    ours, theirs = pty.openpty()
    env = {**SIMPLE, "REALMS_DATA_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "users", "create", "--email", "a@example.com"]
    with subprocess.Popen(
        command, cwd=ROOT, env=env, stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True
    ) as process:
        os.close(theirs)
        said = read_until(ours, b"Password: ")
        os.write(ours, b"correct horse battery\n")
        said += read_until(ours, b"confirmation: ")
        os.write(ours, b"correct horse battery\n")
        said += read_until(ours, b"Made user a@example.com.")
        assert process.wait(30) == 0
    os.close(ours)
    assert b"correct horse" not in said


def read_until(descriptor, wanted):
    said = b""
    while wanted not in said:
        piece = os.read(descriptor, 1024)
        assert piece, said
        said += piece
    return said
