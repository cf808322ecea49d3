"""`/metrics` is there for whom it was opened, and for nobody else."""

import pytest
from pydantic import SecretStr

from app import create_app

TOKEN = "a-token-for-metrics"


@pytest.fixture
def client_of(settings):
    def client(**changes):
        return create_app(settings.model_copy(update=changes)).test_client()

    return client


def status(client, authorization=None):
    headers = {} if authorization is None else {"authorization": authorization}
    return client.get("/metrics", headers=headers).status_code


@pytest.mark.acceptance("H-6", "M-3")
def test_h6_m3_without_a_setting_there_are_none_and_an_empty_token_opens_nothing(client_of):
    client = client_of(metrics_token=SecretStr(""))
    for given in (None, "", "Bearer ", "Bearer"):
        assert status(client, given) == 404


@pytest.mark.acceptance("H-6")
def test_h6_the_token_opens_them_and_no_other(client_of):
    client = client_of(metrics_token=SecretStr(TOKEN))
    answer = client.get("/metrics", headers={"authorization": f"Bearer {TOKEN}"})
    assert answer.status_code == 200
    assert answer.content_type == "text/plain; version=0.0.4; charset=utf-8"
    assert "realms_workers 1\n" in answer.text
    for given in (
        None,
        "",
        "Bearer ",
        f"Bearer {TOKEN}x",
        f"Basic {TOKEN}",
        "Bearer \N{SNOWMAN}".encode().decode("latin-1"),
    ):
        assert status(client, given) == 401


@pytest.mark.acceptance("H-6")
def test_h6_a_network_opens_them_without_a_token(client_of, settings):
    here = type(settings).model_validate({"metrics_allow": "127.0.0.0/8"}).metrics_allow
    elsewhere = type(settings).model_validate({"metrics_allow": "10.0.0.0/8"}).metrics_allow
    assert status(client_of(metrics_allow=here)) == 200
    assert status(client_of(metrics_allow=elsewhere)) == 401
