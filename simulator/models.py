"""The models, in OpenAI's shape or, for callers that send `anthropic-version`, in Anthropic's."""

from typing import TYPE_CHECKING, Any

from simulator.answer import ANTHROPIC, Answer, json_answer
from simulator.call import Call
from simulator.errors import ApiError
from simulator.paging import anthropic_page

if TYPE_CHECKING:
    from simulator.call import Endpoint

NAMES = ("sim-1", "sim-mini", "sim-think", "claude-sim-1", "claude-sim-mini", "gpt-sim")


def _openai(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 1767225600, "owned_by": "simulator"}


def _anthropic(name: str) -> dict[str, Any]:
    return {
        "type": "model",
        "id": name,
        "display_name": name.replace("-", " ").title(),
        "created_at": "2026-01-01T00:00:00Z",
        "lifecycle": "active",
        "max_input_tokens": 200000,
        "max_tokens": 64000,
    }


def _asks_anthropic(call: Call) -> bool:
    return call.request.header("anthropic-version") is not None


def list_all(call: Call) -> Answer:
    if _asks_anthropic(call):
        answer = json_answer(anthropic_page([_anthropic(name) for name in NAMES], call.query()))
        answer.brand = ANTHROPIC
        return answer
    return json_answer({"object": "list", "data": [_openai(name) for name in NAMES]})


def retrieve(call: Call) -> Answer:
    name = "/".join(call.segments)
    if name.partition("+")[0] not in NAMES:
        if _asks_anthropic(call):
            raise ApiError(404, f"model: {name}")
        raise ApiError(404, f"The model '{name}' does not exist", code="model_not_found", param="model")
    if not _asks_anthropic(call):
        return json_answer(_openai(name))
    answer = json_answer(_anthropic(name))
    answer.brand = ANTHROPIC
    return answer


ROUTES: "dict[str, Endpoint]" = {"GET models": list_all, "GET models/*": retrieve}
