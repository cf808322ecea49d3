"""The docs say what there is: every setting, command, error and event, and nothing that isn't there."""

import re
from pathlib import Path

import pytest
from flask import Flask
from pydantic import SecretStr, ValidationError

from app.cli import register
from app.console.snippets import CLIENTS, render
from app.settings import CLIENT_NAMES, SECRET_NAMES, Settings
from tests.house.reading import ROOT, kept_files, named, python_files, texts

PAGES = [path for path in kept_files() if path.suffix == ".md" and "vendor" not in path.parts]
TEXT = {path: path.read_text() for path in PAGES}
DOCS = ROOT / "docs"
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))
NAMES = {f"REALMS_{name.upper()}" for name in Settings.model_fields}
FILES = {f"REALMS_{name}_FILE" for name in SECRET_NAMES}
OF_TESTS = {"REALMS_TEST_BUDGET_S", "REALMS_TEST_LOOKS", "REALMS_TEST_POSTGRESQL"}
LINK = re.compile(r"\]\(([^)\s]+)\)")
FLASK = re.compile(r"flask ([a-z][a-z-]*(?:\|[a-z-]+)*(?: [^`\n#|]*)?)")
SERVER = {"database_url": "postgresql://realms@db/realms"}


def rows(page):
    """The cells of every table row of a page of the docs."""
    for line in (DOCS / page).read_text().splitlines():
        if line.startswith("| "):
            yield [cell.strip() for cell in line.strip("|").split(" | ")]


def setting_rows():
    return {cells[0].strip("` "): cells for cells in rows("configuration.md") if "`REALMS_" in cells[0]}


def commands(group, path=()):
    """Every command of ours by its words."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


def our_cli():
    app = Flask("cli")
    register(app)
    return app.cli


# -- settings ---------------------------------------------------------------------------------------------------------
def test_every_setting_has_its_row_and_no_row_is_without_one():
    assert set(setting_rows()) == NAMES


@pytest.mark.parametrize("field", Settings.model_fields)
def test_a_setting_is_told_with_its_default_its_unit_and_a_meaning(field):
    _, default, unit, meaning, _ = setting_rows()[f"REALMS_{field.upper()}"]
    value = Settings.model_fields[field].default
    nothing = value in ("", (), None) or (isinstance(value, SecretStr) and not value.get_secret_value())
    assert default == ("–" if nothing else f"`{value}`")
    assert unit
    assert len(meaning) > 15


@pytest.mark.parametrize("field", Settings.model_fields)
def test_the_example_of_a_setting_is_one_that_it_takes(field):
    example = setting_rows()[f"REALMS_{field.upper()}"][-1].strip("`")
    name, _, value = example.partition("=")
    if name in FILES:
        assert name == f"REALMS_{field.upper()}_FILE"
        return
    assert name == f"REALMS_{field.upper()}"
    try:
        Settings.model_validate(SERVER | {field: value})
    except ValidationError as error:
        pytest.fail(str(error))


def test_the_docs_name_no_setting_that_does_not_exist():
    known = NAMES | FILES | CLIENT_NAMES | OF_TESTS
    for path, text in texts():
        if path.suffix in {".md", ".yaml", ".yml", ".service", ".conf", ""} or path.name == "Makefile":
            named_there = set(re.findall(r"\bREALMS_[A-Z_]*[A-Z]\b", text))
            assert named_there <= known, named(path)


def test_every_secret_can_be_found_with_its_file():
    text = (DOCS / "configuration.md").read_text()
    assert [name for name in FILES if f"`{name}`" not in text] == []


# -- the command line -------------------------------------------------------------------------------------------------
def test_every_command_is_in_the_docs():
    told = (DOCS / "operations.md").read_text()
    assert [name for name, _ in commands(our_cli()) if f"`flask {name}" not in told] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_a_page_names_no_command_or_option_that_does_not_exist(page):
    known = dict(commands(our_cli()))
    groups = {name.partition(" ")[0] for name in known}
    for written in FLASK.findall(TEXT[page]):
        words = written.split()
        if "|" in words[0]:
            assert set(words[0].split("|")) <= groups
            continue
        name = next((name for name in (" ".join(words[:2]), words[0]) if name in known), None)
        if name is None:
            assert words[:2] == ["db", "upgrade"], written
            continue
        options = {option for parameter in known[name].params for option in parameter.opts}
        asked = {word.partition("=")[0] for word in words if word.startswith("--")}
        assert asked <= options, written


def test_every_make_target_that_is_told_exists():
    told = {
        target for text in TEXT.values() for target in re.findall(r"(?:^|`)make ([a-z][a-z-]*)", text, re.MULTILINE)
    }
    targets = re.findall(r"(?m)^([a-z][a-z-]*):", (ROOT / "Makefile").read_text())
    assert {"run", "demo", "test"} <= told <= set(targets)


# -- what clients paste -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize("snippet", ["codex-config", "claude-code-env"])
@pytest.mark.parametrize(
    ("page", "base"),
    [
        ("README.md", "http://127.0.0.1:8080"),
        ("README.zh-CN.md", "http://127.0.0.1:8080"),
        ("docs/clients.md", "https://realms.example.com"),
    ],
)
def test_what_the_docs_paste_is_what_the_console_pastes(snippet, page, base):
    found = next(part for client in CLIENTS for part in client.parts if part.id == snippet)
    assert render(found, base, "MODEL", token="$REALMS_TOKEN") in (ROOT / page).read_text()


# -- events of the log ------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("I-5")
def test_every_event_of_the_log_is_in_the_docs():
    said = re.compile(r'\blog\.(?:info|warning|error)\(\s*"(\w+)"|\btag_field="event", tag="(\w+)"|"event": "(\w+)"')
    logged = {"".join(found) for path in python_files("app") for found in said.findall(path.read_text())}
    assert logged == {event for cells in rows("operations.md") for event in re.findall(r"`([a-z_]+)`", cells[0])}


# -- the texts themselves ---------------------------------------------------------------------------------------------
@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_to_something_that_exists(page):
    for link in LINK.findall(TEXT[page]):
        target, _, anchor = link.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        file = (page.parent / target).resolve() if target else page
        assert file.exists(), link
        if anchor:
            headings = re.findall(r"(?m)^#+ (.+)$", file.read_text())
            assert anchor in {re.sub(r"[^\w-]", "", heading.lower().replace(" ", "-")) for heading in headings}, link


@pytest.mark.parametrize("name", ["README.md", "README.zh-CN.md"])
def test_the_readme_is_short(name):
    assert len((ROOT / name).read_text().splitlines()) <= 200


def test_both_readmes_show_the_same_commands():
    def blocks(name):
        text = re.sub(r" +#.*|Say hello\.|你好", "", (ROOT / name).read_text())
        return [block for block in re.findall(r"```\w+\n(.*?)```", text, re.DOTALL) if "make check" not in block]

    english, chinese = blocks("README.md"), blocks("README.zh-CN.md")
    assert [re.sub(r"\s+", " ", block) for block in english] == [re.sub(r"\s+", " ", block) for block in chinese]


def test_decisions_are_numbered_and_none_is_longer_than_a_page():
    assert len(DECISIONS) >= 15
    for number, path in enumerate(DECISIONS, start=1):
        text = path.read_text()
        assert path.name.startswith(f"{number:04}-")
        assert text.startswith(f"# {number:04}: ")
        assert len(text.splitlines()) <= 60
        assert re.findall(r"(?m)^## (.+)$", text) == ["Context", "Choice", "Price", "When to revisit"]


def test_the_words_of_the_glossary_are_told_once():
    words = [cells[0] for cells in rows("architecture.md") if len(cells) == 2 and re.fullmatch(r"[a-z ]+", cells[0])]
    assert len(words) == len(set(words))
    assert {"caller", "call", "endpoint", "target", "owned", "link", "reply", "settle", "pen", "snapshot"} <= set(words)


def test_every_test_that_the_checklist_names_exists():
    named_there = re.findall(
        r"`(tests/[\w/]+\.py)(?:::(?:\w+::)?(\w+))?`", (DOCS / "security-checklist.md").read_text()
    )
    assert len(named_there) > 10
    for file, test in named_there:
        assert (ROOT / file).exists(), file
        assert not test or f"def {test}(" in (ROOT / file).read_text(), f"{file}::{test}"


def test_nothing_names_the_machine_that_it_was_written_on():
    ours = [str(ROOT), f"{Path.home()}/"]
    assert [named(path) for path, text in texts() if any(place in text for place in ours)] == []
