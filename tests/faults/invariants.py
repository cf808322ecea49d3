"""What must hold after any fault, from three records: what clients saw, what the provider did, what the database has."""

from dataclasses import dataclass, field

from sqlalchemy import text

from app.extensions import db
from tests.faults.clients import CHAT, RESPONSES, Talk, events
from tests.live import until

SETTLED_S = 30.0
"""Within this the journals of killed workers are in the database."""
ACCOUNTED_S = 60.0
"""Within this the calls of dead workers are closed."""
CREATES = {"/v1/responses", "/v1/chat/completions", "/v1/messages"}
RECORDED = 'SELECT request_id, id, status, "end", usage_state, input_tokens, output_tokens FROM records'
OWNED = "SELECT kind, object_id, user_id FROM owned_objects"


@dataclass
class Seen:
    """One call as its client saw it; `data` is what of the stream came."""

    talk: Talk
    request_id: str
    user_id: int
    data: bytes = b""
    ids: set[tuple[str, str]] = field(default_factory=set)
    ended: bool = False

    def read(self) -> "Seen":
        """Find the ids and the terminal event in what came; an event that is cut short says nothing."""
        for name, data in events(self.data[: self.data.rfind(b"\n\n") + 2]):
            self.ended = self.ended or self.talk.ends.decode() in (name, data)
            if self.talk is CHAT and isinstance(data, dict) and "id" in data:
                self.ids.add(("chat.completion", data["id"]))
            elif self.talk is RESPONSES and "response" in data:
                self.ids.add(("response", data["response"]["id"]))
                if name == RESPONSES.ends.decode():
                    self.ids |= {("item", item["id"]) for item in data["response"]["output"]}
        return self


def assert_owned(house, seen):
    """Every object id that a client saw is that client's."""
    owners = {(row["kind"], row["object_id"]): row["user_id"] for row in house.rows(OWNED)}
    unowned = [(each.request_id, key) for each in seen for key in each.ids if owners.get(key) != each.user_id]
    assert not unowned


def assert_settled(house, seen):
    """Every call whose end a client saw has its one record, with the provider's own numbers."""
    ended = {each.request_id: each for each in seen if each.ended}
    rows = until(lambda: _records_of(house, ended), seconds=SETTLED_S, every=0.2)
    assert len(rows) == len(ended), "a call has two records"
    minted = {each["object_id"]: each["usage"] for each in house.provider.requests() if each["object_id"]}
    for row in rows:
        assert (row["status"], row["end"], row["usage_state"]) == (200, "completed", "reported"), row
        for kind, object_id in ended[row["request_id"]].ids:
            if kind != "item":
                usage = minted[object_id]
                read = usage.get("input_tokens", usage.get("prompt_tokens"))
                written = usage.get("output_tokens", usage.get("completion_tokens"))
                assert (row["input_tokens"], row["output_tokens"]) == (read, written), row


def _records_of(house, ended):
    rows = [row for row in house.rows(RECORDED) if row["request_id"] in ended]
    return rows if {row["request_id"] for row in rows} == set(ended) else None


def assert_accounted(house, since, *, before=0):
    """Every call that the provider took on has its record, also those whose worker died.

    `before` is how many it had served when it forgot them.
    """
    served = [each for each in house.provider.requests(since) if each["path"].split("?")[0] in CREATES]

    def all_there():
        found = house.rows("SELECT COUNT(*) AS n FROM records WHERE upstream_id IS NOT NULL OR \"end\" = 'aborted'")
        return found[0]["n"] >= before + len(served)

    until(all_there, seconds=ACCOUNTED_S, every=0.5)
    return len(served)


def assert_balanced(house):
    """What the sums say is what the records add up to."""
    columns = "COUNT(*) AS requests, SUM(COALESCE(cost_nanos, 0)) AS cost, SUM(COALESCE(output_tokens, 0)) AS output"
    sums = "SUM(requests) AS requests, SUM(cost_nanos) AS cost, SUM(output_tokens) AS output"

    def balanced():
        (records,), (hours,) = house.rows(f"SELECT {columns} FROM records"), house.rows(f"SELECT {sums} FROM rollups")
        (days,) = house.rows(f"SELECT {sums} FROM daily_rollups")
        return records == hours == days and records

    return until(balanced, seconds=SETTLED_S, every=0.5)


def forbid_new_owners(house):
    """Let the database refuse every statement that would change an owner, whoever writes it."""
    on = "ON owned_objects"
    if house.settings.embedded:
        refuse = f"CREATE TRIGGER for_life BEFORE UPDATE OF user_id {on} BEGIN SELECT RAISE(ABORT, 'for life'); END"
        statements = [refuse]
    else:
        body = "BEGIN RAISE EXCEPTION 'for life'; END"
        statements = [
            f"CREATE FUNCTION for_life() RETURNS trigger LANGUAGE plpgsql AS '{body.replace(chr(39), chr(39) * 2)}'"
        ]
        statements += [
            f"CREATE TRIGGER for_life BEFORE UPDATE OF user_id {on} FOR EACH ROW EXECUTE FUNCTION for_life()"
        ]
    with house.app.app_context():
        for statement in statements:
            db.session.execute(text(statement))
        db.session.commit()
        db.session.remove()


def assert_same_place(house, seen, since):
    """Every call on a stored object went out with the key that made the object, as the provider saw both."""
    for each in seen:
        for kind, object_id in each.ids:
            if kind != "item":
                path = "/v1/responses" if kind == "response" else "/v1/chat/completions"
                who = next(name for name, user_id in house.users.items() if user_id == each.user_id)
                assert house.ask("GET", f"{path}/{object_id}", who=who).status == 200
    requests = house.provider.requests(since)
    makers = {request["object_id"]: request["key"] for request in requests if request["object_id"]}
    reads = [(request["path"].rpartition("/")[2], request["key"]) for request in requests if request["method"] == "GET"]
    places = [(object_id, key) for object_id, key in reads if object_id in makers]
    assert [key for _, key in places] == [makers[object_id] for object_id, _ in places]
    return len(places)


def assert_no_ghosts(provider):
    """No call is left open at the provider once all clients are gone."""
    until(lambda: provider.control("GET", "stats")["open"] == 0)


def assert_replay_changes_nothing(house, journals):
    """Segments that were replayed before are taken in once more, and every row is as it was."""
    before = _all_rows(house)
    folder = house.settings.data_dir / "journal"
    for number, segment in enumerate(journals):
        (folder / f"again-{number}.tmp").write_bytes(segment)
        (folder / f"again-{number}.tmp").rename(folder / f"again-{number}.journal")
    until(lambda: not list(folder.glob("again-*")), seconds=SETTLED_S, every=0.1)
    assert _all_rows(house) == before


def _all_rows(house):
    tables = {"records": "id", "attempts": "record_id, n", "owned_objects": "id"}
    tables |= {
        "rollups": "hour, user_id, token_id, model, upstream_id",
        "daily_rollups": "day, user_id, token_id, model",
        "conversation_totals": "user_id, key",
    }
    return {table: house.rows(f"SELECT * FROM {table} ORDER BY {order}") for table, order in tables.items()}
