"""People as administrators look through them: narrowed, by address, a page at a time."""

import pytest

from app.extensions import db
from app.models import SecondFactor, User
from app.models.base import utcnow
from app.services import roster
from app.services.roster import Wanted

pytestmark = pytest.mark.any_database


@pytest.fixture
def team(ctx):
    told = [
        ("ada@example.com", "Ada Ärger", "admin", None),
        ("bob@example.com", "Bob", "user", utcnow()),
        ("cy@example.org", "100%_real", "user", None),
        ("dora@example.com", "陈朵拉", "user", None),
    ]
    db.session.add_all(
        User(email=email, name=name, role=role, disabled_at=disabled, password_hash="x")
        for email, name, role, disabled in told
    )
    db.session.flush()
    db.session.add(SecondFactor(user_id=found(Wanted(words="ada"))[0].id, sealed=b"x", last_step=0))
    db.session.commit()


def found(wanted, **more):
    return roster.page(wanted, **more).users


def names(**wanted):
    return [user.email.partition("@")[0] for user in found(Wanted(**wanted))]


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({}, ["ada", "bob", "cy", "dora"]),
        ({"words": "EXAMPLE.org"}, ["cy"]),
        ({"words": "Ärger"}, ["ada"]),
        ({"words": "bOB"}, ["bob"]),
        ({"words": "朵"}, ["dora"]),
        ({"role": "admin"}, ["ada"]),
        ({"role": "user", "state": "enabled"}, ["cy", "dora"]),
        ({"state": "disabled"}, ["bob"]),
        ({"state": "odd"}, ["ada", "bob", "cy", "dora"]),
        ({"second_factor": True}, ["ada"]),
        ({"second_factor": False, "words": "example.com"}, ["bob", "dora"]),
    ],
)
def test_people_are_found_by_part_of_address_or_name_by_role_and_state(team, wanted, told):
    assert names(**wanted) == told


@pytest.mark.acceptance("K-9")
@pytest.mark.parametrize(
    ("looked_for", "told"),
    [("%", ["cy"]), ("_", ["cy"]), ("\\", []), ("'", []), ("(a+)+$", []), ("x" * 10_000, []), ("0%_R", ["cy"])],
)
def test_what_is_looked_for_is_text_and_no_pattern(team, looked_for, told):
    assert names(words=looked_for) == told


def test_pages_follow_each_other_without_gaps(team):
    first = roster.page(Wanted(), limit=3)
    second = roster.page(Wanted(), after=first.after, limit=3)
    assert [user.email for user in first.users + second.users] == [user.email for user in found(Wanted())]
    assert (first.after, second.after) == ("cy@example.org", "")
    assert (len(first.with_second_factor), len(second.with_second_factor)) == (1, 0)
    assert roster.page(Wanted(), limit=4).after == "", "the last page is known to be it"
