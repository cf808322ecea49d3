"""A configuration file: what is wrong with it is told at once, by line, and never with a secret."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.services.declared.reading import FileError, read

GOOD = """\
realms: 1
settings: {contact: ops@example.com}
upstreams:
  main: &main
    id: 17
    kind: openai
    base_url: https://API.example.com/v1/
    credentials: {default: env:MAIN_KEY, spare: {secret: file:spare.key, enabled: false}}
  other:
    <<: *main
    weight: 3
models:
  gpt-5:
    prices: {2026-01-01: {standard: {input: 1.25, tiers: {200000: {input: 2.5}}}}}
    limits: {all: {requests_minute: 60, money_day: 0.1}}
users: {Alice@Example.com: }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("MAIN_KEY", "sk-main")
    (tmp_path / "spare.key").write_text("sk-spare\n")
    return tmp_path


def problems(text, folder):
    with pytest.raises(FileError) as refused:
        read(text, folder=folder)
    return refused.value.problems


def test_names_are_keys_and_numbers_are_ignored(folder):
    rows = read(GOOD, folder=folder).rows
    assert rows["upstreams", "main"] == {"kind": "openai", "base_url": "https://api.example.com/v1"}
    assert rows["upstreams", "other"] == rows["upstreams", "main"] | {"weight": 3}
    assert rows["users", "alice@example.com"] == {}
    price = rows["models", "gpt-5", "prices", "2026-01-01T00:00:00Z"]
    assert price["standard"] == {
        "rates": {"input": 1_250_000_000},
        "tiers": ({"above": 200_000, "rates": {"input": 2_500_000_000}},),
    }
    assert rows["models", "gpt-5", "limits", "all"] == {"requests_minute": 60, "money_day": 100_000_000}


def test_secrets_are_looked_up_and_never_shown(folder):
    document = read(GOOD, folder=folder)
    spare = document.rows["upstreams", "main", "credentials", "spare"]["secret"]
    assert (str(spare), spare.secret.get_secret_value()) == ("file:spare.key", "sk-spare")
    assert "sk-" not in repr(document)


def test_everything_that_is_wrong_is_told_at_once_by_line(folder):
    text = """\
realms: 1
upstreems: {}
upstreams:
  main:
    kind: openai
    wieght: 3
    enabled: maybe
    base_url: ftp://example.com
    policy: {nonsense: 1}
    credentials:
      a: sk-a-real-secret-in-a-file
      b: env:NOT_SET_ANYWHERE
      c: file:none.key
  main: {}
models:
  gpt-5:
    routes: [main]
    prices: {someday: {}, 2026-01-01: {standard: {inptu: 1}}}
    limits: {all: {money_day: -1, requests_minute: 1.5}}
"""
    told = problems(text, folder)
    assert [problem.partition(":")[0] for problem in told] == [
        f"line {n}" for n in (2, 6, 7, 8, 9, 11, 12, 13, 14, 17, 18, 18, 19, 19)
    ]
    whole = "\n".join(told)
    for word in ("did you mean weight?", "NOT_SET_ANYWHERE is not set", "second time", "inptu", "No such file"):
        assert word in whole
    assert "sk-a-real" not in whole


@pytest.mark.parametrize(
    "text",
    ["", "[]", "realms: 2", "realms: true", "upstreams: {}", "realms: 1\n\tx: y", "realms: 1\nx: !!python/object:os.system {}",
     "realms: 1\nsettings: {contact: 2026-99-99}", "realms: 1\nusers: {[a]: {}}", "realms: 1\n---\nrealms: 1", "\x00",
     "realms: 1\nmodels: &a {x: {routes: *a}}", "realms: 1\nsettings: {contact: " + "[" * 5000],
)  # fmt: skip
def test_what_is_no_configuration_is_refused_with_its_line(folder, text):
    assert problems(text, folder)[0].startswith("line ")


@given(text=st.one_of(st.text(), st.text("realms: 1\n{}[]&*!-?|>'\"upstreamsmodels ", max_size=80)))
def test_no_text_breaks_the_reader(tmp_path_factory, text):
    try:
        read("realms: 1\n" + text, folder=tmp_path_factory.getbasetemp())
    except FileError as error:
        assert error.problems
