"""Settings: what is wrong is told at once and in words, and secrets stay secret."""

import os
import runpy
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from app import settings
from app.settings import ConfigError, Settings, load, unknown_names
from tests import live

ROOT = Path(__file__).parents[1]
GOOD = "a-secret-that-is-long-enough-to-be-taken"
SERVER = {
    "REALMS_DATABASE_URL": "postgresql://realms@db.example.com/realms",
    "REALMS_SECRET_KEY": GOOD,
    "REALMS_VAULT_KEYS": GOOD,
}
secret_texts = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", min_size=32, max_size=80)


def problems(**environ):
    """What `load` says about an environment; names without their prefix."""
    with pytest.raises(ConfigError) as told:
        load({f"REALMS_{name}": value for name, value in environ.items()})
    return told.value.problems


def environment(**settings_of_mine):
    """This process' environment without any setting, and with these."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("REALMS_")}
    return kept | {f"REALMS_{name}": str(value) for name, value in settings_of_mine.items()}


def run_module(name, **environ):
    command = [sys.executable, "-m", *name.split()]
    return subprocess.run(
        command, cwd=ROOT, env=environment(**environ), capture_output=True, text=True, timeout=60, check=False
    )


def gunicorn_conf(monkeypatch, **environ):
    """What gunicorn would run with in this environment."""
    for name in [name for name in os.environ if name.startswith("REALMS_")]:
        monkeypatch.delenv(name)
    for name, value in environ.items():
        monkeypatch.setenv(f"REALMS_{name}", value)
    return runpy.run_path(str(ROOT / "gunicorn.conf.py"))


# -- told at once -----------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("M-2")
def test_every_problem_is_told_at_once(tmp_path):
    told = problems(DATA_DIR=str(tmp_path), BIND="nowhere", BODY_S="-1", EGRESS_ALLOW="10.0.0.0/99", SECRET_KEY="short")
    assert [line.partition(":")[0] for line in told] == [
        "REALMS_BIND", "REALMS_SECRET_KEY", "REALMS_BODY_S", "REALMS_EGRESS_ALLOW",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "url",
    [
        "mail.example.com",
        "http://mail.example.com",
        "smtp://",
        "smtp://h:99999",
        "smtp://h:0",
        "smtps://h/x",
        "smtp://h?x=1",
    ],
)
def test_a_mail_server_is_named_by_a_way_to_it(url):
    (told,) = problems(SMTP_URL=url, MAIL_FROM="realms@example.com")
    assert told.startswith("REALMS_SMTP_URL: ")


@pytest.mark.parametrize("sender", ["", "realms", "@example.com", "a b@example.com", "a@b,c@d", "a@b\nBcc: c@d"])
def test_mail_comes_from_an_address(sender):
    assert problems(SMTP_URL="smtps://realms:x@mail.example.com", MAIL_FROM=sender)[0].startswith("REALMS_MAIL_FROM: ")


def test_what_two_settings_disagree_about_is_told_beside_what_one_alone_gets_wrong(tmp_path):
    told = "\n".join(problems(DATA_DIR=str(tmp_path), BIND="nowhere", WORKERS="4"))
    assert "REALMS_BIND" in told
    assert "REALMS_WORKERS" in told


def test_missing_secrets_are_told_beside_what_else_is_wrong():
    told = "\n".join(problems(DATABASE_URL=SERVER["REALMS_DATABASE_URL"], BIND="nowhere"))
    for name in ("REALMS_BIND", "REALMS_SECRET_KEY", "REALMS_VAULT_KEYS"):
        assert name in told


def test_the_check_prints_all_of_it_and_exits_78(tmp_path):
    done = run_module("app.settings --check", DATA_DIR=tmp_path, BIND="nowhere", WRITE_S="0", BIDN="x")
    assert done.returncode == 78
    for word in ("REALMS_BIND: must be host:port", "REALMS_WRITE_S", "REALMS_BIDN is not a setting"):
        assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_the_check_of_a_sound_environment_says_nothing(tmp_path):
    done = run_module("app.settings --check", DATA_DIR=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("url", ["nonsense", "mysql://realms@127.0.0.1:1/realms", "postgresql://127.0.0.1:1/realms"])
def test_a_start_with_a_database_that_cannot_be_used_exits_78(tmp_path, url):
    done = run_module("app.start", DATA_DIR=tmp_path, DATABASE_URL=url, SECRET_KEY=GOOD, VAULT_KEYS=GOOD)
    assert done.returncode == 78
    assert "REALMS_DATABASE_URL" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.acceptance("J-1")
def test_gunicorn_exits_78_before_it_binds(tmp_path):
    port = live.free_port()
    environ = environment(BIND=f"127.0.0.1:{port}", DATA_DIR=tmp_path, SECRET_KEY="short")
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 78
    assert "REALMS_SECRET_KEY: must be at least 32 bytes" in done.stderr
    assert "Listening" not in done.stderr


def test_a_start_with_a_schema_that_is_behind_exits_78_and_says_what_to_run(tmp_path):
    done = run_module("app.start", DATA_DIR=tmp_path, MIGRATE="0")
    assert done.returncode == 78
    assert "db upgrade" in done.stderr


# -- what gunicorn reads for itself -----------------------------------------------------------------------------------
@pytest.mark.parametrize("environ", [{}, {"WORKERS": "0"}, {"WORKERS": ""}, {"WORKERS": "1"}])
def test_gunicorn_starts_as_many_workers_as_the_settings_say(monkeypatch, tmp_path, environ):
    known = load(
        {f"REALMS_{name}": value for name, value in environ.items() if value} | {"REALMS_DATA_DIR": str(tmp_path)}
    )
    assert gunicorn_conf(monkeypatch, **environ)["workers"] == known.workers >= 1


@pytest.mark.parametrize("name", ["WORKERS", "WORKER_CONNECTIONS", "KEEPALIVE_S", "DRAIN_S"])
def test_a_value_that_gunicorn_reads_too_is_left_for_the_settings_to_complain_about(monkeypatch, tmp_path, name):
    assert problems(DATA_DIR=str(tmp_path), **{name: "many"})
    gunicorn_conf(monkeypatch, **{name: "many"})


def test_drain_ends_before_gunicorns_own_deadline(monkeypatch):
    assert gunicorn_conf(monkeypatch, DRAIN_S="20.5")["graceful_timeout"] > 20.5
    assert gunicorn_conf(monkeypatch)["graceful_timeout"] > Settings().drain_s


# -- names that nobody knows ------------------------------------------------------------------------------------------
@pytest.mark.acceptance("M-2")
@pytest.mark.parametrize(
    ("given_name", "near"),
    [
        ("REALMS_WORKER", "REALMS_WORKERS"),
        ("REALMS_PUBLC_URL", "REALMS_PUBLIC_URL"),
        ("REALMS_SECRET_KEY_FIEL", "REALMS_SECRET_KEY_FILE"),
    ],
)
def test_an_unknown_name_is_warned_about_with_the_nearest_one(given_name, near):
    assert unknown_names({given_name: "x"}) == [f"{given_name} is not a setting; did you mean {near}?"]


def test_names_of_settings_of_clients_and_of_other_programs_pass_in_silence():
    known = {f"REALMS_{name.upper()}": "" for name in Settings.model_fields}
    secrets = {f"REALMS_{name}_FILE": "" for name in settings.SECRET_NAMES}
    assert unknown_names(known | secrets | {"REALMS_TOKEN": "sk_x", "PATH": "/bin"}) == []


# -- secrets ----------------------------------------------------------------------------------------------------------
def test_a_secret_is_read_from_its_file(tmp_path):
    path = tmp_path / "key"
    path.write_text(f"{GOOD}\n")
    assert load(SERVER | {"REALMS_SECRET_KEY_FILE": str(path)}).secret_key.get_secret_value() == GOOD


@pytest.mark.parametrize("name", settings.SECRET_NAMES)
def test_a_secret_file_that_is_not_there_is_told_by_its_name(tmp_path, name):
    told = problems(**{f"{name}_FILE": str(tmp_path / "missing")}, DATA_DIR=str(tmp_path / "data"))
    assert told == [f"REALMS_{name}_FILE: {tmp_path / 'missing'}: No such file or directory"]


def test_a_secret_file_that_is_no_text_is_told_by_its_name(tmp_path):
    (tmp_path / "key").write_bytes(b"\xff\xfe" * 20)
    told = problems(SECRET_KEY_FILE=str(tmp_path / "key"), DATA_DIR=str(tmp_path / "data"))
    assert [line.partition(":")[0] for line in told] == ["REALMS_SECRET_KEY_FILE"]


def test_every_secret_setting_can_come_from_a_file():
    secret = {name.upper() for name, field in Settings.model_fields.items() if field.annotation is SecretStr}
    assert secret == set(settings.SECRET_NAMES)


@pytest.mark.acceptance("J-1")
def test_the_embedded_default_makes_its_secrets_once_and_for_itself_alone(tmp_path):
    folder = tmp_path / "data"
    first = load({"REALMS_DATA_DIR": str(folder)})
    for name in ("secret_key", "vault_keys"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
        assert len((folder / name).read_text()) >= 43
    assert first.secret_key != first.vault_keys
    again = load({"REALMS_DATA_DIR": str(folder)})
    assert (again.secret_key, again.vault_keys) == (first.secret_key, first.vault_keys)


def test_a_secret_from_the_environment_is_not_made_a_second_time(tmp_path):
    folder = tmp_path / "data"
    load({"REALMS_DATA_DIR": str(folder), "REALMS_SECRET_KEY": GOOD})
    assert [path.name for path in folder.iterdir()] == ["vault_keys"]


@pytest.mark.acceptance("J-1")
def test_with_a_database_server_secrets_are_asked_for_and_never_made(tmp_path):
    told = problems(DATABASE_URL=SERVER["REALMS_DATABASE_URL"], DATA_DIR=str(tmp_path / "data"))
    assert [line.partition(":")[0] for line in told] == ["REALMS_SECRET_KEY", "REALMS_VAULT_KEYS"]
    assert not (tmp_path / "data").exists()


@pytest.mark.acceptance("M-3")
def test_a_kept_secret_that_is_empty_is_not_used(tmp_path):
    """A full disk, or a crash between making the file and filling it."""
    (tmp_path / "secret_key").touch()
    try:
        made = load({"REALMS_DATA_DIR": str(tmp_path)})
    except ConfigError as error:
        assert "secret_key" in str(error).lower()
    else:
        assert len(made.secret_key.get_secret_value()) >= 32


def test_a_data_directory_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").touch()
    assert all("REALMS_DATA_DIR" in line for line in problems(DATA_DIR=str(tmp_path / "file")))


@pytest.mark.acceptance("J-1")
@pytest.mark.parametrize("name", ["SECRET_KEY", "VAULT_KEYS"])
@pytest.mark.parametrize("weak", ["changeme", "x" * 31, f"{GOOD} short", "secret,secret"])
def test_weak_secrets_are_refused_by_name_and_not_repeated(name, weak):
    told = "\n".join(problems(**{name: weak}))
    assert told.startswith(f"REALMS_{name}: must be at least 32 bytes")
    assert weak not in told


@pytest.mark.acceptance("I-8")
@given(secret=secret_texts, password=secret_texts)
def test_no_secret_is_ever_shown(secret, password):
    made = Settings(
        database_url=SecretStr(f"postgresql://realms:{password}@db/realms"),
        secret_key=SecretStr(secret),
        vault_keys=SecretStr(f"{secret},{password}"),
        admin_password=SecretStr(password),
    )
    for shown in (repr(made), str(made), made.model_dump_json()):
        assert secret not in shown
        assert password not in shown


@given(secret=secret_texts)
def test_no_secret_is_shown_in_a_complaint(secret):
    told = "\n".join(problems(SECRET_KEY=secret[:31], VAULT_KEYS=f"{secret} x", ADMIN_PASSWORD=secret, BIND="nowhere"))
    assert secret[:31] not in told


# -- what follows from what -------------------------------------------------------------------------------------------
@pytest.mark.parametrize("scheme", ["mysql", "mariadb"])
def test_a_plain_mysql_url_gets_the_driver_that_works_under_gevent(scheme):
    made = Settings.model_validate({"database_url": f"{scheme}://realms:x@db/realms"})
    assert made.database_url.get_secret_value() == "mysql+pymysql://realms:x@db/realms"


@pytest.mark.parametrize("scheme", ["postgresql", "postgres"])
def test_a_plain_postgresql_url_gets_the_driver_that_works_under_gevent(scheme):
    made = load(SERVER | {"REALMS_DATABASE_URL": f"{scheme}://realms:x@db:5433/realms?sslmode=require"})
    assert made.database_url.get_secret_value() == "postgresql+psycopg://realms:x@db:5433/realms?sslmode=require"
    assert not made.embedded


def test_the_default_database_is_a_file_in_the_data_directory(tmp_path):
    made = load({"REALMS_DATA_DIR": str(tmp_path)})
    assert made.database_url.get_secret_value() == f"sqlite:///{tmp_path}/realms.db"
    assert made.embedded


@pytest.mark.acceptance("M-4")
def test_several_workers_need_a_database_server(tmp_path):
    assert "needs PostgreSQL" in problems(WORKERS="2", DATA_DIR=str(tmp_path))[0]
    redis = {"REALMS_REDIS_URL": "redis://127.0.0.1:6379/0"}
    assert load(SERVER | redis | {"REALMS_WORKERS": "2"}).workers == 2


@pytest.mark.acceptance("M-4")
def test_several_workers_need_a_redis_in_which_they_agree():
    with pytest.raises(ConfigError) as refused:
        load(SERVER | {"REALMS_WORKERS": "2"})
    assert "set REALMS_REDIS_URL, or workers to 1" in str(refused.value)


@pytest.mark.parametrize(
    ("given_value", "embedded", "wanted"),
    [("", True, True), ("", False, False), ("1", False, True), ("0", True, False)],
)
def test_only_the_embedded_default_migrates_without_being_asked(tmp_path, given_value, embedded, wanted):
    environ = {"REALMS_DATA_DIR": str(tmp_path)} if embedded else dict(SERVER)
    assert load(environ | ({"REALMS_MIGRATE": given_value} if given_value else {})).migrate is wanted


def test_the_public_address_is_the_bound_one_until_it_is_told(tmp_path):
    environ = {"REALMS_DATA_DIR": str(tmp_path), "REALMS_BIND": "0.0.0.0:9000"}
    assert load(environ).public_url == "http://0.0.0.0:9000"
    told = load(environ | {"REALMS_PUBLIC_URL": "https://realms.example.com/"})
    assert told.public_url == "https://realms.example.com"
    assert told.https


@pytest.mark.parametrize("bad", ["realms.example.com", "ftp://realms.example.com", "https://", "https://a/?b=c"])
def test_a_public_address_that_no_browser_could_open_is_refused(bad):
    assert problems(PUBLIC_URL=bad)[0].startswith("REALMS_PUBLIC_URL: must be an http or https URL")


def test_lists_are_separated_by_commas_or_blanks(tmp_path):
    made = load({
        "REALMS_DATA_DIR": str(tmp_path),
        "REALMS_EGRESS_ALLOW": "10.0.0.0/8, fd00::/8 192.168.1.7",
        "REALMS_CORS_ORIGINS": "https://a.example,https://b.example",
    })  # fmt: skip
    assert [str(network) for network in made.egress_allow] == ["10.0.0.0/8", "fd00::/8", "192.168.1.7/32"]
    assert made.cors_origins == ("https://a.example", "https://b.example")


def test_settings_cannot_be_changed_afterwards(tmp_path):
    made = load({"REALMS_DATA_DIR": str(tmp_path)})
    with pytest.raises(ValidationError):
        made.workers = 4
