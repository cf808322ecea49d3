"""What is secret or private is looked for everywhere afterwards: it stands in its own column, or nowhere."""

import json
from pathlib import Path

import pytest
from sqlalchemy import inspect

from app.extensions import db
from tests.contract.objects import make
from tests.faults.clients import MESSAGES, RESPONSES, TALKS, call
from tests.live import PASSWORD, SECRET_KEY, VAULT_KEY, ask, until

PRIVATE = "canary-of-what-was-asked"
ANSWERED = "lorem"
"""Of this the simulated provider's answers are made, where their number of events is given."""
TERMINAL = "\x1b[31mred\x1b[0m\r\nforged: line"


def everything_kept(house):
    """All that the house has written: every row of every table, the journal, the log."""
    with house.app.app_context():
        tables = inspect(db.engine).get_table_names()
    kept = {table: repr(house.rows(f'SELECT * FROM "{table}"')) for table in tables}
    folder = house.settings.data_dir / "journal"
    kept["journal"] = "".join(path.read_bytes().decode("latin-1") for path in folder.glob("*"))
    return kept | {"log": house.log.read_text()}


def talk_of_it(house, talk):
    """Calls that end well and badly, with the canary wherever a caller may write something."""
    said = [{"role": "user", "content": PRIVATE}]
    body = {"input": PRIVATE} if talk is RESPONSES else {"messages": said}
    more = body | {"metadata": {"user_id": PRIVATE}, "user": PRIVATE, "tools": [], "system": PRIVATE}
    for options in ("events=5", "fault=cut_at:300", "status=400", "status=401", "fault=error_after:2:500"):
        for stream in (False, True):
            call(house, talk, options, stream=stream, **more)
    ask(house.port, "POST", talk.path, body=b'{"' + PRIVATE.encode(), headers=bearer(house))
    ask(house.port, "POST", f"{talk.path}?key={PRIVATE}", body={"model": "none"}, headers=bearer(house))


def bearer(house):
    return {"authorization": f"Bearer {house.tokens['alice']}", "cookie": f"realms={PRIVATE}", "referer": PRIVATE}


@pytest.mark.acceptance("D-9", "I-1", "I-7")
def test_neither_secrets_nor_what_is_asked_and_answered_is_kept_anywhere(house, sim):
    for talk in TALKS:
        talk_of_it(house, talk)
    made = make(house, "response", input=PRIVATE)
    house.ask("GET", f"/v1/responses/{made}")
    house.record(call(house, MESSAGES).request_id)
    secrets = [*house.tokens.values(), PASSWORD, SECRET_KEY, VAULT_KEY, "Bearer sim-main", "sim-claude", "sim-second"]
    for place, text in everything_kept(house).items():
        found = [secret for secret in (PRIVATE, ANSWERED, *secrets) if secret in text]
        assert found == [], place


@pytest.mark.acceptance("I-2")
def test_a_call_is_one_line_of_the_log(house, sim):
    got = call(house, RESPONSES, "events=3")
    house.record(got.request_id)
    (line,) = until(lambda: [line for line in house.lines() if got.request_id in json.dumps(line)])
    assert (line["event"], line["request_id"], line["user"]) == ("call", got.request_id, house.users["alice"])
    assert (line["endpoint"], line["status"], line["end"]) == ("responses.create", 200, "completed")
    assert line["model"].startswith("sim-1")
    assert line["upstream"] == house.upstreams["main"]
    assert line["timestamp"].endswith("Z")
    assert 0 <= line["first_byte_ms"] <= line["total_ms"]
    assert line["input"] > 0 < line["output"]
    assert "127.0.0.1" not in json.dumps(line)


@pytest.mark.acceptance("I-3")
def test_what_a_client_writes_can_break_no_line_of_the_log(house, sim):
    for model in (TERMINAL, "\u2028", "x" * 100_000):
        house.post("/v1/responses", {"model": f"none-{model}", "input": "x"}, user_agent="\x1b[31m" + "y" * 7000)
    house.record(call(house, RESPONSES, "events=3").request_id)
    for line in house.lines():
        for value in line.values():
            assert not isinstance(value, str) or len(value) <= 200
    assert "\x1b" not in house.log.read_text()


@pytest.mark.acceptance("J-7")
def test_no_worker_would_leave_its_memory_in_a_core_file(house):
    for pid in (house.process.pid, *house.workers()):
        (line,) = [line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line]
        assert line.split()[4:6] == ["0", "0"]
