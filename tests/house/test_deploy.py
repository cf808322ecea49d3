"""What operators copy: the image, the compose file, the unit and the proxies fit together and fit the settings."""

import configparser
import re
import shutil
import subprocess
from fnmatch import fnmatch
from importlib import metadata

import pytest
import yaml

from app import settings
from app.settings import SECRET_NAMES, Settings
from tests.house.reading import ROOT

DEPLOY = ROOT / "deploy"
FILES = [ROOT / "Dockerfile", ROOT / "compose.yaml", *sorted(path for path in DEPLOY.iterdir() if path.is_file())]
KNOWN = {f"REALMS_{name.upper()}" for name in Settings.model_fields} | {f"REALMS_{name}_FILE" for name in SECRET_NAMES}
COMPOSE = yaml.safe_load((ROOT / "compose.yaml").read_text())
K8S = {part["kind"]: part for part in yaml.safe_load_all((DEPLOY / "k8s.yaml").read_text())}
DRAIN_S = Settings.model_fields["drain_s"].default
LONGEST_S = Settings.model_fields["stream_total_s"].default


def instructions():
    """The words and the rest of every line of the Dockerfile."""
    text = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")
    return [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]


def last(word):
    return [rest for name, rest in instructions() if name == word][-1]


def unit():
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(DEPLOY / "realms.service")
    return parser


def nginx(name):
    return re.search(rf"^\s*{name}\s+([^;]+);", (DEPLOY / "nginx.conf").read_text(), re.MULTILINE)[1].strip()


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_only_settings_that_exist_are_set(path):
    assert set(re.findall(r"REALMS_[A-Z_]+", path.read_text())) <= KNOWN


# -- the image --------------------------------------------------------------------------------------------------------
@pytest.mark.acceptance("L-7")
def test_the_image_runs_as_nobody_in_particular_and_is_asked_whether_it_lives():
    assert last("USER") == "10001"
    assert last("VOLUME") == "/data"
    assert "deploy/alive.py" in last("HEALTHCHECK")
    assert last("CMD") == '["gunicorn", "wsgi:app"]'
    assert "--require-hashes" in " ".join(rest for name, rest in instructions() if name == "RUN")


@pytest.mark.acceptance("L-3")
def test_the_image_holds_what_runs_and_nothing_else():
    kept = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    assert all((ROOT / name).exists() for name in kept)
    needed = [
        "app/start.py",
        "templates/layout.html",
        "migrations/alembic.ini",
        "static",
        "gunicorn.conf.py",
        "wsgi.py",
    ]
    for name in needed:
        assert any(fnmatch(name, pattern) or name.startswith(f"{pattern}/") for pattern in kept), name
    for name in ("tests", "simulator", "data", ".git", "secrets"):
        assert name not in kept


def test_the_question_whether_it_lives_is_answered_by_its_exit_code(provider_port=9):
    done = subprocess.run(
        ["python3", str(DEPLOY / "alive.py")],
        env={"REALMS_BIND": f"0.0.0.0:{provider_port}", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=False,
    )
    assert done.returncode != 0


# -- compose ----------------------------------------------------------------------------------------------------------
def test_every_secret_and_volume_of_compose_is_declared():
    for service in COMPOSE["services"].values():
        assert set(service.get("secrets", [])) <= COMPOSE["secrets"].keys()
        assert {volume.partition(":")[0] for volume in service["volumes"]} <= COMPOSE["volumes"].keys()
        for name, value in service.get("environment", {}).items():
            if name.endswith("_FILE"):
                assert value.removeprefix("/run/secrets/") in service["secrets"]


@pytest.mark.acceptance("L-7")
def test_compose_lets_streams_finish_and_gives_away_nothing():
    realms = COMPOSE["services"]["realms"]
    minutes = int(realms["stop_grace_period"].removesuffix("m"))
    assert minutes * 60 > DRAIN_S + 5
    assert realms["pre_stop"][0]["command"][:2] == ["flask", "drain"]
    assert realms["read_only"]
    assert realms["cap_drop"] == ["ALL"]
    assert all(port.startswith("127.0.0.1:") for port in realms["ports"])


def test_compose_runs_the_chores_and_shares_counters_among_workers():
    services = COMPOSE["services"]
    assert services["chores"]["command"][:3] == ["flask", "chores", "--every"]
    assert services["realms"]["environment"]["REALMS_REDIS_URL"] == "redis://redis:6379/0"
    for name in ("chores", "realms"):
        load(services[name]["environment"], chosen=lambda value: re.sub(r"\$\{\w+:-(.*)\}", r"\1", value))


def load(environment, chosen=str):
    """The settings that such an environment makes, the secrets' files written."""
    sound = {"DATABASE_URL": "postgresql://realms:x@database/realms", "REDIS_URL": "redis://redis"}
    plain = {}
    for name, value in environment.items():
        secret = name.removeprefix("REALMS_").removesuffix("_FILE")
        plain[name.removesuffix("_FILE")] = sound.get(secret, "k" * 64) if name.endswith("_FILE") else chosen(value)
    return settings.load(plain)


# -- Kubernetes -------------------------------------------------------------------------------------------------------
def test_kubernetes_lets_streams_finish_and_asks_before_it_sends():
    pod = K8S["StatefulSet"]["spec"]["template"]["spec"]
    container = pod["containers"][0]
    drain = container["lifecycle"]["preStop"]["exec"]["command"]
    assert drain[:3] == ["flask", "drain", "--wait"]
    assert pod["terminationGracePeriodSeconds"] > DRAIN_S + 5 + float(drain[3])
    ready = container["readinessProbe"]
    assert ready["httpGet"]["path"] == "/readyz"
    assert float(drain[3]) > ready["periodSeconds"] * ready["failureThreshold"]
    made = load({each["name"]: each["value"] for each in container["env"]})
    assert made.https
    assert made.keepalive_s == 75


@pytest.mark.acceptance("L-7")
@pytest.mark.parametrize("kind", ["StatefulSet", "CronJob"])
def test_kubernetes_gives_away_nothing(kind):
    spec = K8S[kind]["spec"]
    pod = (spec["jobTemplate"]["spec"] if kind == "CronJob" else spec)["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert pod["securityContext"]["runAsUser"] == 10001
    assert not pod["automountServiceAccountToken"]
    [container] = pod["containers"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert not container["securityContext"]["allowPrivilegeEscalation"]
    assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    mounted = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    assert mounted == {"data": "/data", "tmp": "/tmp", "secrets": "/run/secrets/realms"}
    assert load({each["name"]: each["value"] for each in container["env"]}).database_url


# -- systemd ----------------------------------------------------------------------------------------------------------
def test_the_unit_lets_streams_finish_and_tries_again_until_the_database_is_there():
    service = unit()["Service"]
    assert int(service["TimeoutStopSec"]) > DRAIN_S + 5
    assert service["Restart"] == "on-failure"
    assert "RestartPreventExitStatus" not in service
    assert int(service["RestartSec"]) * 5 > 10, "systemd gives up after five starts in ten seconds"
    assert service["ExecStart"].endswith("gunicorn wsgi:app")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_understands_the_unit(tmp_path):
    copy = tmp_path / "realms.service"
    text = (DEPLOY / "realms.service").read_text()
    copy.write_text(text.replace("/opt/realms/.venv/bin/gunicorn", shutil.which("true")))
    done = subprocess.run(["systemd-analyze", "verify", copy], capture_output=True, text=True, check=False)
    assert not [line for line in done.stderr.splitlines() if "realms.service" in line], done.stderr


# -- proxies ----------------------------------------------------------------------------------------------------------
def seconds(text):
    return int(text.removesuffix("s"))


def test_nginx_passes_streams_on_and_waits_as_long_as_realms_does():
    assert nginx("proxy_buffering") == nginx("proxy_request_buffering") == "off"
    assert nginx("proxy_next_upstream") == "off"
    assert seconds(nginx("proxy_read_timeout")) > LONGEST_S
    assert seconds(nginx("keepalive_timeout")) < 75
    assert int(nginx("client_max_body_size").removesuffix("m")) > Settings.model_fields["body_max_mb"].default


def test_caddy_passes_streams_on_and_waits_as_long_as_realms_does():
    text = (DEPLOY / "Caddyfile").read_text()
    assert text.count("{") == text.count("}")
    assert "flush_interval -1" in text
    assert seconds(re.search(r"response_header_timeout (\w+)", text)[1]) > LONGEST_S


@pytest.mark.acceptance("L-8")
@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_systemd_finds_little_that_the_unit_exposes():
    asked = ["systemd-analyze", "security", "--offline=true", "--no-pager", DEPLOY / "realms.service"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    level = re.search(r"Overall exposure level[^:]*: ([\d.]+)", done.stdout)
    assert float(level[1]) <= 2.0


# -- what is installed ------------------------------------------------------------------------------------------------
LOCKS = ("requirements.txt", "requirements-dev.txt")


@pytest.mark.acceptance("L-1")
@pytest.mark.parametrize("lock", LOCKS)
def test_what_is_installed_is_pinned_and_hashed(lock):
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    assert len(lines) > 20
    for line in lines:
        assert re.match(r"[A-Za-z0-9_.\[\]-]+==[^ ]+ .*--hash=sha256:[0-9a-f]{64}", line), line[:100]
    for path in (ROOT / "Makefile", ROOT / "Dockerfile"):
        for line in path.read_text().splitlines():
            assert "-r requirements" not in line or re.search(r"--require-hashes|\$\(PIP\)", line), line
    assert "--require-hashes" in re.search(r"(?m)^PIP := .*$", (ROOT / "Makefile").read_text())[0]


@pytest.mark.acceptance("L-2")
def test_nothing_is_locked_that_is_younger_than_a_week():
    lock = re.search(r"(?ms)^lock:.*?^\S", (ROOT / "Makefile").read_text())[0]
    days = re.search(r"--exclude-newer .*?timedelta\((\d+)\)", lock)
    assert int(days[1]) >= 7
    assert "--generate-hashes" in lock


@pytest.mark.acceptance("L-3")
def test_nothing_runs_at_the_start_of_every_python_but_what_is_known():
    """As `litellm_init.pth` did in 2026: the image's build fails, and so does this for what is installed here."""
    allowed = {"distutils-precedence.pth"}
    (built,) = [rest for name, rest in instructions() if name == "RUN" and "--require-hashes" in rest]
    assert "-name '*.pth'" in built
    assert set(re.findall(r"! -name (\S+)\)", built)) == allowed
    runtime = {
        re.match(r"[\w.-]+", line)[0].lower() for line in (ROOT / LOCKS[0]).read_text().splitlines() if "==" in line
    }
    for found in metadata.distributions():
        if found.name.lower() in runtime:
            assert {path.name for path in found.files or () if path.suffix == ".pth"} <= allowed, found.name
