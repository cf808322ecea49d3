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
FUNCTION = (ast.FunctionDef, ast.AsyncFunctionDef)
VAGUE = re.compile(r"(utils?|helpers?|managers?|misc|common)", re.IGNORECASE)
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK|WI" r"P)\b")

COVERED_ELSEWHERE = {}
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
    floor, _, file = name.partition("/")
    assert (ROOT / "app" / name).exists()
    assert not (ROOT / "tests" / floor / f"test_{file}").exists(), "it has a test of its own: take it off the table"
    assert [place for place in places if not (ROOT / "tests" / place).exists()] == []
    assert len(reason.split()) > 3


def test_nothing_unfinished_is_left():
    found = [f"{named(path)}: {mark.group()}" for path, text in texts() for mark in UNFINISHED.finditer(text)]
    assert found == []


def test_only_the_registry_says_who_owns_what():
    makers = {named(path) for path, node in nodes(APP, ast.Call) if callee(node) == "Owned"}
    key_holders = {
        named(path)
        for path, node in nodes(APP, ast.Name, ast.alias, ast.Attribute)
        if "REGISTRY_ONLY" in {getattr(node, "id", ""), getattr(node, "name", ""), getattr(node, "attr", "")}
    }
    assert makers == {"app/services/registry.py"}
    assert key_holders == {"app/services/registry.py", "app/protocol/call.py"}


def test_no_statement_changes_an_owner():
    """Rows are made with their owner; no update, no upsert and no assignment names the column."""
    code = python_files("app", "migrations")
    updates = [
        f"{named(path)}:{node.lineno}"
        for path, node in nodes(code, ast.Call)
        if callee(node) in {"values", "set_", "on_conflict_do_update", "on_duplicate_key_update"}
        and any(keyword.arg == "user_id" for keyword in node.keywords)
    ]
    upserts = [f"{named(path)}:{node.lineno}" for path, node in nodes(code, ast.Call) if "do_update" in callee(node)]
    assignments = [
        f"{named(path)}:{node.lineno}"
        for path, node in nodes(code, ast.Attribute)
        if node.attr == "user_id" and isinstance(node.ctx, ast.Store)
    ]
    raw = [named(path) for path in code if re.search(r"update\s+owned_objects", path.read_text(), re.IGNORECASE)]
    assert updates + upserts + assignments + raw == []


def test_templates_escape_everything():
    unescaped = re.compile(r"\|\s*safe\b|autoescape\s+false")
    templates = [path for path in kept_files() if path.is_relative_to(ROOT / "templates")]
    assert len(templates) > 20
    assert [named(path) for path in templates if unescaped.search(path.read_text())] == []


def test_nothing_in_the_application_runs_what_it_is_told():
    dangerous = {"eval", "exec", "render_template_string", "Markup", "system", "popen", "Popen"}
    found = [f"{named(path)}: {callee(node)}" for path, node in nodes(APP, ast.Call) if callee(node) in dangerous]
    imported = [
        f"{named(path)}: {alias.name}"
        for path, node in nodes(APP, ast.Import, ast.ImportFrom)
        for alias in node.names
        if {alias.name, getattr(node, "module", None)} & {"pickle", "marshal", "subprocess", "shelve"}
    ]
    assert found + imported == []


def test_only_the_settings_read_the_environment():
    readers = {
        named(path)
        for path, node in nodes(APP, ast.Attribute, ast.alias)
        if {getattr(node, "attr", ""), getattr(node, "name", "")} & {"environ", "getenv"}
        and "request" not in ast.unparse(node)
    }
    assert readers == {"app/settings.py"}
