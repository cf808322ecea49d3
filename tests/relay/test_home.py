"""Where Realms lives, no upstream is."""

import ipaddress

import pytest
from pydantic import SecretStr

from app.relay.egress import Egress, EgressError
from app.relay.home import Home
from app.settings import Settings

SECRET = SecretStr("long-enough-for-a-secret-of-these-tests")


@pytest.fixture
def settings():
    return Settings(
        secret_key=SECRET,
        vault_keys=SECRET,
        bind="0.0.0.0:8080",
        public_url="https://realms.example.com",
        database_url=SecretStr("postgresql://realms@db.example.com:5433/realms"),
        redis_url=SecretStr("redis://cache.example.com:6400/0"),
        egress_allow="0.0.0.0/0 ::/0",
        connect_s=2,
    )


@pytest.mark.acceptance("E-13")
@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8080/v1",
        "http://localhost:8080/v1",
        "http://[::1]:8080/v1",
        "http://[::ffff:127.0.0.1]:8080/v1",
        "http://0.0.0.0:8080/v1",
        "https://realms.example.com/v1",
        "https://REALMS.example.com:443/v1",
        "http://10.0.0.9:5432",
        "http://10.0.0.9:6379",
        "http://10.0.0.9:3306",
        "http://db.example.com:5433",
        "http://cache.example.com:6400",
    ],
)
def test_no_upstream_leads_home_or_to_a_database_whatever_is_allowed(settings, url):
    egress = Egress(settings)
    with pytest.raises(EgressError) as raised:
        egress.fetch("GET", url, proxy=None, headers={"authorization": "Bearer ours"})
    assert raised.value.phase == "address"
    egress.adapter.close()


def test_others_on_the_same_port_and_other_ports_here_are_upstreams(settings):
    home = Home(settings)
    assert home.objection("api.example.com", 443) is None
    assert home.objection("127.0.0.1", 11434) is None
    assert not home.is_at(ipaddress.ip_address("10.0.0.5"), 8080)
    assert not home.is_at(ipaddress.ip_address("127.0.0.1"), 11434)


def test_databases_without_a_port_are_no_trouble(settings):
    for url in ("sqlite:////data/realms.db", "unix:///run/redis.sock"):
        assert Home(settings.model_copy(update={"redis_url": SecretStr(url)})).objection("x", 443) is None
