import pytest

from app.services import accounts, audit, upstreams
from tests.conftest import PASSWORD

pytestmark = pytest.mark.any_database


def test_changes_are_read_newest_first_with_who_made_them(admin):
    accounts.create_user(email="dora@example.com", password=PASSWORD, actor=admin)
    newest, oldest = audit.list_entries()
    assert (newest.actor, newest.action, newest.target) == ("admin@example.com", "user.create", "user dora@example.com")
    assert newest.after["role"] == "user"
    assert oldest.actor == ""
    assert newest.at >= oldest.at


def test_older_pages_follow_without_gaps(ctx):
    for n in range(5):
        upstreams.create(name=f"u{n}", kind="openai", base_url="", key=None, priority=0, weight=1, actor=None)
    first = audit.list_entries(limit=2)
    rest = audit.list_entries(before_id=first[-1].id)
    assert [entry.target for entry in first + rest] == [f"upstream u{n}" for n in (4, 3, 2, 1, 0)]


@pytest.mark.acceptance("K-9")
@pytest.mark.parametrize("looked_for", ["%", "_", "u%1", "\\", "'", "(a+)+$", "x" * 10_000])
def test_what_is_looked_for_is_text_and_no_pattern(ctx, looked_for):
    for name in ("u1", "a_b", "100%"):
        upstreams.create(name=name, kind="openai", base_url="", key=None, priority=0, weight=1, actor=None)
    for searched in ("target", "action", "actor"):
        found = [entry.target for entry in audit.list_entries(**{searched: looked_for})]
        expected = [name for name in ("100%", "a_b", "u1") if looked_for in name] if searched == "target" else []
        assert found == [f"upstream {name}" for name in expected]
