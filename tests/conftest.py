"""What tests share: settings, the application, its database, and the people of every story."""

import os
import time

import hypothesis
import pytest
from argon2 import PasswordHasher
from flask import Flask
from jinja2 import BytecodeCache
from pydantic import SecretStr
from werkzeug.routing import Rule

from app import create_app
from app.services import accounts, passwords
from app.settings import Settings
from tests import databases
from tests import provider as providers
from tests.house_fixtures import one_house, one_provider  # noqa: F401 - fixtures of all folders
from tests.live import let_go

PASSWORD = "correct horse battery staple"
SECRET_KEY = "a-key-for-tests-that-is-long-enough-to-pass"
EVERYWHERE = {"services", "models"}
"""Where the statements are tested that are written for each database."""
SERVERS = {"postgresql", "mysql"}
RUNNING = {"agents", "contract", "faults", "pages", "sdk", "simulator"}
"""Folders of tests that all need running processes; `make check` doesn't even read them."""
BEGUN = time.monotonic()
LATEST = 1.2
VAULT_KEY = "a-vault-key-for-tests-long-enough-as-well"


hypothesis.settings.register_profile("usual", deadline=None)  # a machine that has other work to do is no failure
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)  # of `make check`; usual are 100
hypothesis.settings.load_profile("usual")


def pytest_configure(config):
    config.addinivalue_line("markers", "any_database: run on each kind of database, not on SQLite alone")
    config.addinivalue_line("markers", "acceptance(*numbers): shows these items of docs/security-checklist.md")
    config.addinivalue_line("markers", "fault(*numbers): brings about these faults of docs/reliability.md")


def pytest_ignore_collect(collection_path, config):
    return True if collection_path.name in RUNNING and _quick_alone(config) else None


def _quick_alone(config):
    return "not slow" in config.option.markexpr


def pytest_runtest_setup(item):
    """On a slow machine leave out what is slow once the time for all tests is over, soon after that the rest.

    Each test that is left out is counted and says why.
    """
    spent = (time.monotonic() - BEGUN) / float(os.environ.get("REALMS_TEST_BUDGET_S", "inf"))
    if spent > LATEST or (spent > 1 and item.get_closest_marker("slow")):
        pytest.skip("the time for tests is over on this machine: `make test` runs this one")


def pytest_generate_tests(metafunc):
    marked = metafunc.definition.get_closest_marker("any_database")
    if marked and "database_kind" in metafunc.fixturenames:
        on_all = EVERYWHERE & {*metafunc.definition.path.parts}
        kinds = ["sqlite", "postgresql", "mysql"] if on_all else ["sqlite", "postgresql"]
        kinds = kinds[:1] if _quick_alone(metafunc.config) else kinds
        metafunc.parametrize("database_kind", kinds, indirect=True)


def pytest_collection_modifyitems(items):
    """`make check` leaves out what needs running processes, and the other databases of what runs on several.

    Of the workers of `make test` one runs the tests of one house, and all tests of a file, so that what they share is
    started once; only pages are shared out one by one, when all else is given out.
    """
    for item in items:
        params = item.callspec.params if hasattr(item, "callspec") else {}
        elsewhere = SERVERS & {value for value in params.values() if isinstance(value, str)}
        if elsewhere or "one_provider" in item.fixturenames or RUNNING & set(item.path.parts):
            item.add_marker(pytest.mark.slow)
        if "pages" not in item.path.parts:
            item.add_marker(pytest.mark.xdist_group(params.get("one_house", str(item.path))))


@pytest.fixture(scope="session", autouse=True)
def _quick_hashes():
    """Passwords cost as little as argon2 allows: most tests need many, and none of theirs is worth guessing."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        passwords._nobodys_hash.cache_clear()
        yield


@pytest.fixture(scope="session", autouse=True)
def _quick_addresses():
    """Addresses are read and compiled once: nearly every test has an application, all with the same addresses."""
    compiled, compile_anew = {}, Rule.compile

    def compile_once(rule):
        key = (rule.rule, *sorted((rule.defaults or {}).items()))
        if key not in compiled:
            compile_anew(rule)
            compiled[key] = dict(vars(rule))
        known = compiled[key]
        rule._parts, rule._trace, rule._converters = known["_parts"], known["_trace"], known["_converters"]
        rule.arguments = set(known["arguments"])
        rule._build = known["_build"].__func__.__get__(rule)
        rule._build_unknown = known["_build_unknown"].__func__.__get__(rule)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "compile", compile_once)
        yield


class _Compiled(BytecodeCache):
    """Templates as Python code, for all applications of this process."""

    def __init__(self):
        self._code = {}

    def load_bytecode(self, bucket):
        if bucket.key in self._code:
            bucket.bytecode_from_string(self._code[bucket.key])

    def dump_bytecode(self, bucket):
        self._code[bucket.key] = bucket.bytecode_to_string()


@pytest.fixture(scope="session", autouse=True)
def _quick_templates():
    """A template is compiled once, not anew for each application."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Flask, "jinja_options", {"bytecode_cache": _Compiled()})
        yield


@pytest.fixture
def database_kind(request):
    """Which database a test runs on: SQLite, unless the test is marked `any_database`."""
    return getattr(request, "param", "sqlite")


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory):
    with databases.sqlite_template(tmp_path_factory.mktemp("sqlite")) as path:
        yield path


@pytest.fixture(scope="session")
def postgresql(worker_name):
    """The URL of a migrated PostgreSQL database, this worker's own."""
    with databases.postgresql_database(f"realms_test_{worker_name}_{os.getpid()}") as url:
        databases.migrate(url)
        yield url


@pytest.fixture(scope="session")
def mysql(worker_name):
    """The URL of a migrated database on MySQL or MariaDB, this worker's own."""
    with databases.mysql_database(f"realms_test_{worker_name}_{os.getpid()}") as url:
        databases.migrate(url)
        yield url


@pytest.fixture(scope="session")
def worker_name(request):
    return getattr(request.config, "workerinput", {"workerid": "main"})["workerid"]


@pytest.fixture
def database_url(database_kind, tmp_path, request):
    """A migrated, empty database."""
    if database_kind == "sqlite":
        return databases.copy_of(request.getfixturevalue("sqlite_template"), tmp_path / "realms.db")
    url = request.getfixturevalue(database_kind)
    databases.empty(url)
    return url


@pytest.fixture
def settings(database_url, tmp_path):
    """Settings of one test: its own data directory and database, upstreams on loopback allowed."""
    return Settings(
        data_dir=tmp_path,
        database_url=SecretStr(database_url),
        secret_key=SecretStr(SECRET_KEY),
        vault_keys=SecretStr(VAULT_KEY),
        egress_allow="127.0.0.0/8",
    )


@pytest.fixture
def app(settings):
    """The application on a database of its own."""
    app = create_app(settings)
    yield app
    let_go(app)


@pytest.fixture
def ctx(app):
    """The application's context, pushed."""
    with app.app_context() as pushed:
        yield pushed


@pytest.fixture
def cli(app):
    """Runs `flask …` in this process; standard input is no terminal."""
    return app.test_cli_runner()


@pytest.fixture
def provider():
    """A tiny provider on a real socket."""
    with providers.provider() as running:
        yield running


@pytest.fixture
def alice(ctx):
    return accounts.create_user(email="alice@example.com", password=PASSWORD, name="Alice", actor=None)


@pytest.fixture
def bob(ctx):
    return accounts.create_user(email="bob@example.com", password=PASSWORD, name="Bob", actor=None)


@pytest.fixture
def carol(ctx):
    return accounts.create_user(email="carol@example.com", password=PASSWORD, name="Carol", actor=None)


@pytest.fixture
def admin(ctx):
    return accounts.create_user(email="admin@example.com", password=PASSWORD, name="Admin", role="admin", actor=None)
