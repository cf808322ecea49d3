"""`docs/openapi.yaml` says what the server does: the same routes, the same protocols, the same errors."""

import re
from pathlib import Path

import pytest
import yaml

from app.protocol.endpoints import BY_NAME, ENDPOINTS, Kind, Protocol
from app.protocol.errors import Problem, RelayError, render
from app.settings import VERSION

DOCS = Path(__file__).parents[2] / "docs"
DOCUMENT = yaml.safe_load((DOCS / "openapi.yaml").read_text())
METHODS = {"get", "post", "delete", "put", "patch", "head", "options"}
OPERATIONS = {
    operation["operationId"]: (method.upper(), path, operation, item.get("parameters", []))
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if method in METHODS
}
MODELS = {"models", "model", "usage", "usage.conversation"}
HEALTH = {"livez", "readyz", "healthz", "probe", "probe.hello"}
STREAMED = {"responses.create", "responses.retrieve", "chat.create", "messages.create"}
DIALECTS = {Protocol.OPENAI: "OpenAIError", Protocol.ANTHROPIC: "AnthropicError"}


def resolved(node):
    """What a reference leads to."""
    while isinstance(node, dict) and "$ref" in node:
        target = node["$ref"].removeprefix("#/").split("/")
        node = DOCUMENT
        for step in target:
            node = node[step]
    return node


def references(node):
    if isinstance(node, dict):
        yield from [node["$ref"]] if "$ref" in node else []
        node = list(node.values())
    if isinstance(node, list):
        for inner in node:
            yield from references(inner)


def answers(operation):
    return {status: resolved(answer) for status, answer in operation["responses"].items()}


def written(rule):
    """A rule's path as OpenAPI writes it."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def test_the_document_and_the_table_of_endpoints_agree():
    relayed = {(e.name, e.method, written(e.path)) for e in ENDPOINTS}
    told = {(name, method, path) for name, (method, path, _, _) in OPERATIONS.items() if name in BY_NAME}
    assert told == relayed
    assert set(OPERATIONS) == set(BY_NAME) | MODELS | HEALTH


def test_the_document_and_the_rules_of_the_application_agree(app):
    served = {
        (method, written(rule.rule))
        for rule in app.url_map.iter_rules()
        if rule.endpoint.startswith("api.") and rule.endpoint not in {"api.unknown", "api.metrics"}
        for method in rule.methods
    }
    own_heads = {("HEAD", "/"), ("HEAD", "/api/hello")}
    implied = {(m, path) for m, path in served if m == "HEAD" and ("GET", path) in served} - own_heads
    implied |= {("OPTIONS", f"/{name}") for name in ("livez", "readyz", "healthz")}
    assert served - implied == {(method, path) for method, path, _, _ in OPERATIONS.values()}


def test_every_reference_leads_somewhere_and_every_part_is_used():
    named = set(references(DOCUMENT))
    for reference in named:
        assert resolved({"$ref": reference})
    parts = {f"#/components/{kind}/{name}" for kind, all_of in DOCUMENT["components"].items() for name in all_of}
    assert parts - named == {"#/components/securitySchemes/bearer", "#/components/securitySchemes/apiKey"}


@pytest.mark.parametrize("name", OPERATIONS)
def test_the_parameters_of_a_path_are_told(name):
    _, path, operation, shared = OPERATIONS[name]
    told = [resolved(parameter) for parameter in (*shared, *operation.get("parameters", []))]
    in_path = {parameter["name"] for parameter in told if parameter["in"] == "path"}
    assert in_path == set(re.findall(r"{(\w+)}", path))
    assert all(parameter["required"] for parameter in told if parameter["in"] == "path")


@pytest.mark.parametrize("name", OPERATIONS)
def test_only_health_is_public(name):
    _, _, operation, _ = OPERATIONS[name]
    assert (operation.get("security") == []) == (name in HEALTH)
    assert ("401" in operation["responses"]) == (name not in HEALTH)


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_an_endpoint_tells_its_errors_in_its_own_protocol(endpoint):
    told = answers(OPERATIONS[endpoint.name][2])
    assert {"401", "4XX", "5XX"} <= set(told)
    for status, answer in told.items():
        if not status.startswith("2"):
            schema = answer["content"]["application/json"]["schema"]["$ref"]
            assert schema.endswith(DIALECTS[endpoint.protocol]), status


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.name)
def test_an_endpoint_tells_what_it_takes_and_how_it_answers(endpoint):
    _, _, operation, _ = OPERATIONS[endpoint.name]
    content = answers(operation)["200"]["content"]
    assert ("text/event-stream" in content) == (endpoint.name in STREAMED)
    assert ("404" in operation["responses"]) == (endpoint.kind in {Kind.OBJECT, Kind.LIST})
    assert ("requestBody" in operation) == endpoint.takes_body
    if endpoint.takes_body:
        schema = resolved(operation["requestBody"])["content"]["application/json"]["schema"]
        assert schema["additionalProperties"] is True
        assert ("model" in schema.get("required", [])) == endpoint.needs_model


def test_the_version_is_that_of_the_server():
    assert DOCUMENT["info"]["version"] == VERSION


@pytest.mark.acceptance("H-6")
def test_a_health_answer_has_exactly_what_is_told(app):
    schema = answers(OPERATIONS["healthz"][2])["200"]["content"]["application/json"]["schema"]
    told = app.test_client().get("/healthz").json
    assert set(told) == set(schema["properties"]) == set(schema["required"])
    assert set(told["database"]) == set(schema["properties"]["database"]["properties"])


@pytest.mark.parametrize("protocol", Protocol)
def test_an_error_has_the_members_that_are_told(protocol):
    schema = DOCUMENT["components"]["schemas"][DIALECTS[protocol]]
    body = yaml.safe_load(render(RelayError(Problem.INTERNAL, "x"), protocol, "req_1"))
    assert set(schema["required"]) <= set(body) <= set(schema["properties"])
    inner = schema["properties"]["error"]
    assert set(inner["required"]) <= set(body["error"]) <= set(inner["properties"])


def test_the_table_of_errors_in_the_docs_is_the_one_in_the_code():
    told = {}
    for line in (DOCS / "clients.md").read_text().splitlines():
        cells = [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        if len(cells) == 5 and cells[0].isdecimal():
            told[cells[1]] = (int(cells[0]), cells[2], cells[3])
            assert len(cells[4]) > 10, f"{cells[1]}: what to do about it?"
    rows = (problem.value for problem in Problem)
    assert told == {row.code: (row.status, row.type, row.anthropic) for row in rows}
