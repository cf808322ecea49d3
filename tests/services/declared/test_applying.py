"""From a file to rows and back, on each database: what is applied is there, twice changes nothing, and what no file
made is left alone."""

import pytest
from sqlalchemy import func, select

from app.extensions import db
from app.models import AuditEntry, Credential, Meta, Upstream
from app.models.meta import GENERATION
from app.protocol.limit import Measure
from app.services import accounts, allowances, announcements, catalog, choices, prices, upstreams
from app.services.choices import Choices
from app.services.context import context
from app.services.declared import applying, writing
from tests.conftest import PASSWORD
from tests.services.declared.files import KEY, SPARE, refused

pytestmark = pytest.mark.any_database

WHOLE = """\
realms: 1
settings: {token_days: 90, contact: ops@example.com, admins_second_factor: true, mail_domains: "Example.com, example.org"}
upstreams:
  main:
    kind: openai
    priority: 5
    policy: {store: false, set: {temperature: 0.5}}
    credentials: {default: env:MAIN_KEY, spare: {secret: env:SPARE_KEY, enabled: false}}
  local: {kind: openai, base_url: "http://127.0.0.1:9/v1", enabled: false, credentials: {default: none}}
  chatgpt: {kind: codex_oauth}
models:
  gpt-5:
    owned_by: openai
    routes: {main: {upstream_model: gpt-5}, local: {upstream_model: small, weight: 3}}
    prices:
      2020-01-01: {standard: {input: 1.25, output: 10}}
      2026-01-01: {standard: {input: 0.000000001, tiers: {200000: {input: 2}}}, services: {flex: {input: 1}}}
    limits: {all: {requests_minute: 600}}
  claude-*: {enabled: false}
users:
  Root@Example.com: {name: Root, role: admin, initial_password: env:ROOT_PASSWORD}
  dave@example.com: {enabled: false, limits: {all: {money_day: 2.5}, gpt-*: {concurrent: 3}}}
announcements: {Hello: {ends_at: 2027-01-01}, 今天: }
"""


def counted(table):
    return db.session.scalar(select(func.count()).select_from(table))


def secret_of(upstream, index=0):
    found = upstreams.by_name(upstream)
    return context().vault.open(found.credentials[index].sealed, origin=found.base_url)


def test_what_a_file_says_is_there_afterwards(run):
    run(WHOLE)
    main, local = upstreams.by_name("main"), upstreams.by_name("local")
    assert (main.base_url, main.priority, main.policy["store"]) == ("https://api.openai.com/v1", 5, False)
    assert [(each.name, each.last4, each.enabled) for each in main.credentials] == [
        ("default", "cdef", True),
        ("spare", "cdef", False),
    ]
    assert (secret_of("main"), secret_of("local"), local.enabled) == (KEY, "", False)
    assert upstreams.by_name("chatgpt").credentials == []
    model = catalog.get_model(catalog.find_model("gpt-5").id)
    assert {route.upstream.name: (route.upstream_model, route.weight) for route in model.routes} == {
        "main": (None, None),
        "local": ("small", 3),
    }
    assert [price.tariffs["standard"]["rates"]["input"] for price in prices.list_for(model.id)] == [1, 1_250_000_000]
    assert accounts.authenticate("root@example.com", PASSWORD).role == "admin"
    dave = accounts.by_email("dave@example.com")
    assert dave.disabled_at is not None
    assert [(row.model, row.money_day, row.concurrent) for row in allowances.list_for("user", dave.id)] == [
        ("", 2_500_000_000, None),
        ("gpt-*", None, 3),
    ]
    assert choices.present() == Choices(
        token_days=90, contact="ops@example.com", admins_second_factor=True, mail_domains="example.com example.org"
    )
    assert [each.text for each in announcements.present()] == ["今天", "Hello"]


@pytest.mark.acceptance("D-8")
def test_the_same_again_is_nothing_and_what_is_exported_is_nothing_too(run):
    assert run(WHOLE, work=applying.plan) == run(WHOLE)
    generation = db.session.get(Meta, GENERATION).value
    audited = counted(AuditEntry)
    exported = writing.as_yaml(writing.written())
    for text in (WHOLE, exported, str(writing.written())):
        assert run(text, work=applying.plan, prune=True) == []
        assert run(text) == []
    assert (db.session.get(Meta, GENERATION, populate_existing=True).value, counted(AuditEntry)) == (
        generation,
        audited,
    )
    assert KEY not in exported
    assert "env:MAIN_KEY" in exported


def test_what_is_exported_makes_the_same_house_elsewhere(run, app):
    run(WHOLE)
    exported = writing.as_yaml(writing.written())
    for name in ("main", "local", "chatgpt"):
        upstreams.delete(upstreams.by_name(name).id, actor=None)
    catalog.delete_model(catalog.find_model("gpt-5").id, actor=None)
    run(exported)
    assert writing.as_yaml(writing.written()) == exported
    assert secret_of("main") == KEY


def test_a_plan_changes_nothing(run):
    assert run(WHOLE, work=applying.plan)
    assert (counted(Upstream), counted(AuditEntry)) == (0, 0)


def test_one_step_that_cannot_be_taken_undoes_all_and_every_such_one_is_told(run):
    text = (
        WHOLE.replace("weight: 3", "weight: 0")
        .replace("role: admin", "role: king")
        .replace("routes: {main", "routes: {none: , main")
    )
    told = refused(run, text)
    assert [problem.partition(": ")[2].partition(":")[0] for problem in told] == [
        "models.gpt-5.routes.none",
        "models.gpt-5.routes.local",
        "users.root@example.com",
    ]
    assert told[2].startswith("line 21: ")
    assert (counted(Upstream), counted(AuditEntry)) == (0, 0)


def test_what_is_left_unsaid_stays_and_what_is_said_is_changed_back(run):
    run(WHOLE)
    main = upstreams.by_name("main")
    upstreams.update(main.id, name="main", base_url=main.base_url, priority=1, weight=9, actor=None)
    assert run(WHOLE) == [("update", "upstreams.main")]
    main = upstreams.by_name("main")
    assert (main.priority, main.weight) == (5, 9)


def test_each_change_has_its_row_in_the_audit_without_a_secret(run):
    run(WHOLE)
    rows = db.session.scalars(select(AuditEntry).order_by(AuditEntry.id)).all()
    assert {"upstream.create", "credential.create", "model.set", "route.set", "price.set", "limits.set", "user.create",
            "settings.update", "announcement.create", "user.disable"} <= {row.action for row in rows}  # fmt: skip
    assert KEY not in "".join(str((row.before, row.after)) for row in rows)


def test_another_secret_behind_the_same_reference_is_taken_over(run, monkeypatch):
    run(WHOLE)
    monkeypatch.setenv("MAIN_KEY", "sk-another-0123456789abcd")
    assert run(WHOLE) == [("update", "upstreams.main.credentials.default")]
    assert secret_of("main") == "sk-another-0123456789abcd"


def test_another_address_takes_the_keys_along_only_where_the_file_has_them(run):
    run(WHOLE)
    moved = WHOLE.replace("kind: openai\n", "kind: openai\n    base_url: https://eu.example.com/v1\n")
    run(moved)
    assert (secret_of("main"), secret_of("main", 1)) == (KEY, SPARE)
    assert [each.enabled for each in upstreams.by_name("main").credentials] == [True, False]
    assert run(moved) == []
    without = "realms: 1\nupstreams: {main: {base_url: https://us.example.com/v1}}\n"
    assert "key again" in refused(run, without)[0]


def test_a_key_that_was_entered_is_kept_and_then_referred_to(run):
    main = upstreams.create(name="main", kind="openai", base_url="", key=KEY, priority=0, weight=1, actor=None)
    exported = writing.as_yaml(writing.written())
    assert "secret:" not in exported.partition("realms: 1")[2]
    assert run(exported) == []
    assert "secret: env:MAIN_DEFAULT_KEY" in writing.as_yaml(writing.written(references=True))
    referring = "realms: 1\nupstreams: {main: {credentials: {default: env:MAIN_KEY}}}\n"
    assert "--adopt" in refused(run, referring)[0]
    assert run(referring, adopt=["upstreams.main.*"]) == [("update", "upstreams.main.credentials.default")]
    upstreams.replace_credential(upstreams.get(main.id).credentials[0].id, key=KEY, actor=None)
    assert upstreams.by_name("main").credentials[0].reference == ""


@pytest.mark.acceptance("D-6")
def test_what_no_file_made_is_overwritten_only_when_it_is_named(run, admin):
    upstreams.create(name="main", kind="openai", base_url="", key="sk-by-hand", priority=7, weight=1, actor=admin)
    told = refused(run, WHOLE)
    assert [problem.partition(": ")[2] for problem in told] == [
        "upstreams.main: No file made it, and its priority, policy would change. Name it with --adopt.",
        "upstreams.main.credentials.default: No file made it, and its secret would change. Name it with --adopt.",
    ]
    assert secret_of("main") == "sk-by-hand"
    assert ("update", "upstreams.main") in run(WHOLE, adopt=["upstreams.main*"])
    assert secret_of("main") == KEY
    assert run("realms: 1\nusers: {admin@example.com: }", adopt=["users.*"]) == [("adopt", "users.admin@example.com")]
    assert run("realms: 1\nusers: {admin@example.com: }", adopt=["users.*"]) == []


@pytest.mark.acceptance("D-6")
def test_the_number_in_a_file_leads_to_no_row(run):
    run("realms: 1\nupstreams: {a: {kind: openai, credentials: {default: none}}}\n")
    number = upstreams.by_name("a").id
    run(f"realms: 1\nupstreams: {{b: {{id: {number}, kind: openai, priority: 3, credentials: {{default: none}}}}}}\n")
    assert upstreams.by_name("a").priority == 0
    assert upstreams.by_name("b").id != number


def test_only_what_files_made_is_pruned_and_only_where_that_is_asked(run, admin):
    run(WHOLE)
    upstreams.create(name="mine", kind="openai", base_url="", key="k" * 20, priority=0, weight=1, actor=admin)
    less = "realms: 1\nupstreams: {local: }\nusers: {root@example.com: }\n"
    assert run(less) == []
    assert sorted(run(less, prune=True)) == [
        ("delete", "upstreams.chatgpt"),
        ("delete", "upstreams.local.credentials.default"),
        ("delete", "upstreams.main"),
        ("delete", "upstreams.main.credentials.default"),
        ("delete", "upstreams.main.credentials.spare"),
        ("delete", "users.dave@example.com.limits.all"),
        ("delete", "users.dave@example.com.limits.gpt-*"),
    ]
    assert [each.name for each in upstreams.list_all()] == ["local", "mine"]
    assert catalog.find_model("gpt-5") is not None
    assert run(less, prune=True) == []


def test_what_was_made_by_hand_below_something_is_not_pruned_with_it(run, admin):
    run(WHOLE)
    upstreams.add_credential(upstreams.by_name("main").id, name="mine", key="k" * 20, actor=admin)
    told = refused(run, "realms: 1\nupstreams: {local: {credentials: {default: none}}, chatgpt: }\n", prune=True)
    assert "upstreams.main.credentials.mine would go with it" in told[0]
    assert counted(Credential) == 4


def test_the_last_administrator_is_not_locked_out_by_a_file(run):
    run(WHOLE)
    told = refused(run, "realms: 1\nusers: {root@example.com: {role: user}}\n")
    assert "last administrator" in told[0]
    assert accounts.by_email("root@example.com").role == "admin"


def test_credentials_of_one_name_are_told_apart(run, admin):
    main = upstreams.create(name="m", kind="openai", base_url="", key="first" * 5, priority=0, weight=1, actor=admin)
    upstreams.add_credential(main.id, name="default", key="second" * 5, actor=admin)
    assert list(writing.written()["upstreams"]["m"]["credentials"]) == ["default", "default (2)"]
    assert run(writing.as_yaml(writing.written())) == []


def test_a_credential_that_no_key_opens_is_entered_again_by_its_reference(run):
    run(WHOLE)
    credential = upstreams.by_name("main").credentials[0]
    credential.sealed = b"sealed with another vault key"
    db.session.commit()
    assert run(WHOLE) == [("update", "upstreams.main.credentials.default")]
    assert secret_of("main") == KEY


def test_measures_that_a_limit_does_not_name_are_not_limited(run):
    run(WHOLE)
    run("realms: 1\nusers: {dave@example.com: {limits: {all: {requests_minute: 5}}}}\n")
    row = allowances.list_for("user", accounts.by_email("dave@example.com").id)[0]
    assert {measure: getattr(row, measure.value) for measure in Measure if getattr(row, measure.value) is not None} == {
        Measure.REQUESTS: 5
    }
    assert "names no limit" in refused(run, "realms: 1\nusers: {dave@example.com: {limits: {all: }}}\n")[0]
