"""The house is kept: small files and functions, tests where one looks for them, and a few things that nobody does."""

import ast
import re

import pytest

from tests.house.reading import ROOT, callee, kept_files, named, nodes, python_files, texts

CODE = python_files("app", "simulator")
APP = python_files("app")
FLOORS = ("protocol", "relay", "services", "upstreams", "web", "api")
LINES_MAX = 300
FUNCTION_LINES_MAX = 60
SERVED = [path for path in APP if path.name != "demo.py"]
"""What serves people; the demo starts processes and hands them an environment, and serves nobody."""
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
VAGUE = re.compile(r"(utils?|helpers?|managers?|misc|common)", re.IGNORECASE)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|WI" r"P)\b")

COVERED_ELSEWHERE = {
    "protocol/call.py": (["contract/test_lifecycle.py"], "values; a token's list of models is held on the wire"),
    "protocol/record.py": (["contract/test_streams.py"], "values; read back as rows of the database"),
    "protocol/tally.py": (["protocol/test_usage.py", "protocol/test_price.py"], "usage objects of every provider"),
    "relay/attempt.py": (
        ["contract/test_failover.py", "contract/test_errors.py"],
        "every way that an attempt can fail",
    ),
    "relay/connect.py": (["contract/test_failover.py"], "every fault before and after the commit point"),
    "relay/drain.py": (["faults/test_drain.py"], "needs a master that stops its workers"),
    "relay/link.py": (["contract/test_errors.py", "faults/test_leaving.py"], "answers that break, by fault and by cut"),
    "relay/listing.py": (["contract/test_chat_list.py"], "pages over several upstreams that can be away"),
    "relay/ports.py": (["contract/test_lifecycle.py"], "signatures without behaviour, checked by mypy"),
    "relay/running.py": (["faults/test_live.py"], "calls of every state, as pages show them"),
    "relay/run.py": (
        ["contract/test_references.py", "contract/test_ownership.py"],
        "where each call goes, seen at the provider",
    ),
    "services/allowances.py": (["cli/test_limits.py", "contract/test_limits.py"], "set by command, held on the wire"),
    "services/trial.py": (["contract/test_trial.py"], "streams of real shape, from the simulated provider"),
    "services/doubts.py": (["admin/test_overview.py"], "what is wrong, as administrators are told"),
    "services/background.py": (
        ["services/test_ledger.py"],
        "the ledger's own work, as those who read a response see it",
    ),
    "services/codex_accounts.py": (
        ["contract/test_codex.py", "faults/test_codex_killed.py"],
        "renewals as calls meet them, at an OAuth server, in a worker that can be killed",
    ),
    "services/codex_connect.py": (["admin/test_codex.py"], "sign-ins and imports, with a browser and an OAuth server"),
    "services/context.py": (["services/test_upstreams.py"], "a holder without behaviour of its own"),
    "services/letters.py": (["console/test_mail.py"], "what mails say, as they arrive at a mail server"),
    "services/counting_scripts.py": (
        ["services/test_chunks.py", "services/test_shared_counters.py"],
        "run by Redis, as workers use them",
    ),
    "services/notices.py": (["services/test_limits.py", "contract/test_limits.py"], "refusals and headers of limits"),
    "services/one_place.py": (
        ["services/test_routing.py", "contract/test_references.py"],
        "continuations, in memory and as calls",
    ),
    "services/probe.py": (["services/test_upstreams.py"], "each step of a test, against a real socket"),
    "services/resealing.py": (["services/test_upstreams.py"], "secrets of upstreams, under another vault key"),
    "services/schema.py": (["test_migrations.py"], "migrations, alone and in a crowd"),
    "web/bars.py": (["console/test_dashboard.py"], "limits as the dashboard shows them"),
    "web/cookies.py": (["web/test_headers.py"], "cookies are headers of pages"),
    "web/filters.py": (["console/test_dashboard.py"], "numbers and moments as pages show them"),
    "web/forms.py": (["web/test_guard.py", "console/test_tokens.py"], "forms as browsers send them"),
    "web/limits.py": (["admin/test_limits.py"], "a form that both rooms show, as browsers send it"),
    "web/live.py": (["faults/test_live.py"], "calls under way, with workers that have some"),
    "web/people.py": (["console/test_door.py"], "signing in and out, with browsers"),
    "web/records.py": (
        ["console/test_usage.py", "admin/test_traffic.py"],
        "filters, cursors and CSV, as pages ask for them",
    ),
    "web/reveal.py": (["console/test_tokens.py"], "a secret that is shown once"),
    "web/tries.py": (["console/test_door.py"], "failed sign-ins, with browsers"),
    "api/errors.py": (["contract/test_errors.py", "api/test_paths.py"], "every failure in the caller's protocol"),
    "api/front.py": (["contract/test_bytes.py", "api/test_door.py"], "the way that every one of these tests takes in"),
    "api/health.py": (["test_create_app.py", "protocol/test_openapi.py"], "also while the database is away"),
    "api/models.py": (["contract/test_models.py"], "both shapes, read by the official clients"),
    "api/reading.py": (["api/test_bad_input.py"], "bodies of every kind of wrongness"),
    "api/usage.py": (["contract/test_usage.py"], "what is used on the wire, told on the wire"),
    "api/views.py": (["contract/test_bytes.py", "sdk/test_endpoints.py"], "every endpoint, driven from outside"),
}
"""Files whose tests don't stand in their own place: what covers them, and why there."""


def test_no_file_is_longer_than_one_reads_at_once():
    lines = {named(path): len(path.read_text().splitlines()) for path in CODE}
    assert {name: count for name, count in lines.items() if count > LINES_MAX} == {}


def test_no_function_is_longer_than_a_page():
    long = [
        f"{named(path)}: {node.name}"
        for path, node in nodes(CODE, *FUNCTION)
        if node.end_lineno - node.lineno >= FUNCTION_LINES_MAX
    ]
    assert long == []


def test_every_module_says_what_it_is_for():
    assert [named(path) for path, node in nodes(APP, ast.Module) if not ast.get_docstring(node)] == []


def test_no_file_has_a_name_that_says_nothing():
    vague = [named(path) for path in kept_files() if path.suffix == ".py" and VAGUE.fullmatch(path.stem)]
    assert vague == []


@pytest.mark.parametrize("floor", FLOORS)
def test_every_file_has_its_test_where_one_looks_for_it(floor):
    files = [path for path in APP if path.parent == ROOT / "app" / floor and path.stem != "__init__"]
    missing = [
        named(path)
        for path in files
        if not (ROOT / "tests" / floor / f"test_{path.stem}.py").exists()
        and f"{floor}/{path.name}" not in COVERED_ELSEWHERE
    ]
    assert missing == []


@pytest.mark.parametrize("name", COVERED_ELSEWHERE)
def test_what_is_covered_elsewhere_is_covered_there(name):
    places, reason = COVERED_ELSEWHERE[name]
    assert (ROOT / "app" / name).exists()
    assert [place for place in places if not (ROOT / "tests" / place).exists()] == []
    assert len(reason.split()) > 3


def test_nothing_is_told_to_be_covered_elsewhere_that_has_a_test_of_its_own():
    own = [name for name in COVERED_ELSEWHERE if (ROOT / "tests" / name.replace("/", "/test_")).exists()]
    assert own == []


def test_nothing_unfinished_is_left():
    found = [f"{named(path)}: {mark.group()}" for path, text in texts() for mark in UNFINISHED.finditer(text)]
    assert found == []


@pytest.mark.acceptance("B-16")
def test_only_the_registry_says_who_owns_what():
    makers = {named(path) for path, node in nodes(APP, ast.Call) if callee(node) == "Owned"}
    key_holders = {
        named(path)
        for path, node in nodes(APP, ast.Name, ast.alias, ast.Attribute)
        if "REGISTRY_ONLY" in {getattr(node, "id", ""), getattr(node, "name", ""), getattr(node, "attr", "")}
    }
    assert makers == {"app/services/registry.py"}
    assert key_holders == {"app/services/registry.py", "app/protocol/call.py"}


@pytest.mark.acceptance("B-10")
def test_no_statement_changes_an_owner():
    """Rows are made with their owner; no update and no assignment names the column, and only sums are upserted.

    The database alone forgets an owner, with a deleted user (ON DELETE SET NULL).
    """
    code = python_files("app", "migrations")
    updates = [
        f"{named(path)}:{node.lineno}"
        for path, node in nodes(code, ast.Call)
        if callee(node) in {"values", "set_", "on_conflict_do_update", "on_duplicate_key_update"}
        and any(keyword.arg == "user_id" for keyword in node.keywords)
    ]
    upserts = [f"{named(path)}:{node.lineno}" for path, node in nodes(code, ast.Call) if "do_update" in callee(node)]
    upserts = [place for place in upserts if not place.startswith("app/services/posting.py")]
    assignments = [
        f"{named(path)}:{node.lineno}"
        for path, node in nodes(code, ast.Attribute)
        if node.attr == "user_id" and isinstance(node.ctx, ast.Store)
    ]
    raw = [named(path) for path in code if re.search(r"update\s+owned_objects", path.read_text(), re.IGNORECASE)]
    assert updates + upserts + assignments + raw == []
    changing = {named(path): text for path in code if "update(OwnedObject)" in (text := path.read_text())}
    assert [*changing] == ["app/services/registry.py"]
    assert re.findall(r"\.values\(([^)]*)\)", *changing.values()) == ["deleted_at=utcnow("], "it says what is gone"


@pytest.mark.acceptance("E-5")
def test_only_alerts_which_go_to_no_upstream_are_sent_without_a_proxy_of_one():
    """Which proxy a call leads through is the place's, the row's or the lease's; nobody makes one up."""
    made = {"fetch", "RelayRequest"}
    ways = [
        (named(path), ast.unparse(keyword.value))
        for path, node in nodes(APP, ast.Call)
        if callee(node) in made
        for keyword in node.keywords
        if keyword.arg == "proxy"
    ]
    assert [path for path, way in ways if way == "None"] == ["app/services/alerts.py"]
    assert {way for _, way in ways} == {"None", "proxy", "place.proxy", "leased.proxy"}
    origins = [named(path) for path, node in nodes(APP, ast.Call) if callee(node) == "proxy_of"]
    assert set(origins) == {"app/services/proxies.py", "app/services/policies.py"}


UNAUDITED = {
    "accounts.py": "one's own language",
    "announcements.py": "that one has read a notice",
    "changes.py": "the change itself, with its row",
    "chores.py": "rows that ran out",
    "codex_connect.py": "a sign-in under way, and what the provider says of an allowance",
    "history.py": "records that ran out",
    "links.py": "a link that a stranger asked for by mail",
    "repricing.py": "portions of costs, inside a change that is told before",
    "second_factor.py": "codes that are used up",
    "sign_ins.py": "one's own browsers",
}
"""Who may end a transaction of the session past `changes`, and what of."""


@pytest.mark.acceptance("D-7")
def test_what_is_configured_changes_with_its_audit_row_and_in_no_other_way():
    services = [path for path in APP if path.parent.name == "services"]
    callers = {path.name for path, node in nodes(services, ast.Call) if ast.unparse(node.func) == "db.session.commit"}
    assert callers == set(UNAUDITED)
    written = {named(path) for path, node in nodes(APP, ast.Call) if callee(node) == "AuditEntry"}
    assert written == {"app/services/changes.py"}
    named_there = {named(path) for path, node in nodes(APP, ast.alias) if node.name == "AuditEntry"}
    reading = {"app/models/__init__.py", "app/services/audit.py", "app/services/chores.py"}
    by_workers = {"app/services/codex_lease.py", "app/services/dismissals.py"}
    assert named_there == written | reading | by_workers, "the chores delete what is older than REALMS_AUDIT_DAYS"


def test_templates_escape_everything():
    unescaped = re.compile(r"\|\s*safe\b|autoescape\s+false")
    templates = [path for path in kept_files() if path.is_relative_to(ROOT / "templates")]
    assert len(templates) > 20
    assert [named(path) for path in templates if unescaped.search(path.read_text())] == []


@pytest.mark.acceptance("M-6")
def test_nothing_in_the_application_runs_what_it_is_told():
    dangerous = {"eval", "exec", "render_template_string", "Markup", "system", "popen", "Popen"}
    found = [f"{named(path)}: {callee(node)}" for path, node in nodes(SERVED, ast.Call) if callee(node) in dangerous]
    imported = [
        f"{named(path)}: {alias.name}"
        for path, node in nodes(SERVED, ast.Import, ast.ImportFrom)
        for alias in node.names
        if {alias.name, getattr(node, "module", None)} & {"pickle", "marshal", "subprocess", "shelve"}
    ]
    assert found + imported == []


def test_only_the_settings_read_the_environment():
    readers = {
        named(path)
        for path, node in nodes(SERVED, ast.Attribute, ast.ImportFrom)
        if re.search(r"\bos\.(environ|getenv)|from os import .*(environ|getenv)", ast.unparse(node))
    }
    assert readers == {"app/settings/loading.py"}


@pytest.mark.acceptance("J-6")
def test_secrets_are_looked_up_by_digest_or_compared_in_constant_time():
    """A comparison of columns is a look-up; those of ChatGPT accounts have our own secrets on both sides."""
    secret = re.compile(r".*(secret|digest|password|signature|hmac|_key|token)", re.IGNORECASE)
    compared = set()
    for path, node in nodes(APP, ast.Compare):
        if any(isinstance(how, ast.Eq | ast.NotEq) for how in node.ops) and not ast.unparse(node.left)[0].isupper():
            sides = [getattr(each, "func", each) for each in (node.left, *node.comparators)]
            if any(secret.fullmatch(getattr(side, "attr", getattr(side, "id", ""))) for side in sides):
                compared.add(named(path))
    assert compared == {"app/services/codex_accounts.py"}
    using = {named(path) for path, node in nodes(APP, ast.Call) if callee(node) == "compare_digest"}
    assert using >= {"app/api/metrics.py", "app/services/setup.py", "app/services/sign_ins.py"}
