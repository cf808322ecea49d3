"""The official clients, each with a note of which endpoints it has called."""

import re
from types import SimpleNamespace

import anthropic
import openai
import pytest

from app.protocol.endpoints import ENDPOINTS

MODELS = {"models.list": ("GET", "/v1/models"), "models.retrieve": ("GET", "/v1/models/<model>")}
"""Answered by Realms itself; the rest is relayed."""
PATHS = {endpoint.name: (endpoint.method, endpoint.path) for endpoint in ENDPOINTS} | MODELS


def endpoint_of(method, path):
    """The name of the endpoint that a request is for; None for any other request."""
    for name, (its_method, pattern) in PATHS.items():
        if method == its_method and re.fullmatch(re.sub(r"<\w+>", "[^/]+", pattern), path):
            return name
    return None


@pytest.fixture
def called():
    """The names of the endpoints that the clients of this test have called."""
    return set()


@pytest.fixture
def sdk(house, called):
    """Alice's clients, without retries."""

    def note(request):
        called.add(endpoint_of(request.method, request.url.path))

    hooks = {"request": [note]}
    token = house.tokens["alice"]
    with (
        openai.OpenAI(
            api_key=token,
            base_url=f"{house.url}/v1",
            max_retries=0,
            http_client=openai.DefaultHttpxClient(event_hooks=hooks),
        ) as of_openai,
        anthropic.Anthropic(
            api_key=token,
            base_url=house.url,
            max_retries=0,
            http_client=anthropic.DefaultHttpxClient(event_hooks=hooks),
        ) as of_anthropic,
    ):
        yield SimpleNamespace(openai=of_openai, anthropic=of_anthropic)
