"""One request as an endpoint sees it."""

import urllib.parse
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.answer import Answer
from simulator.errors import ApiError
from simulator.http import Request
from simulator.options import Options
from simulator.plan import Plan
from simulator.store import Account
from simulator.usage import odd

if TYPE_CHECKING:
    from collections.abc import Callable

    from simulator.world import World

    Endpoint = Callable[["Call"], Answer]


class Call(msgspec.Struct):
    world: "World"
    request: Request
    account: Account
    plan: Plan
    segments: list[str]
    """What follows the endpoint's root in the path, decoded."""
    body: dict[str, Any]

    @property
    def options(self) -> Options:
        return self.plan.options

    def query(self) -> dict[str, str]:
        """The query's members; of repeated ones the last."""
        return dict(urllib.parse.parse_qsl(self.request.query, keep_blank_values=True))

    def streams(self) -> bool:
        if self.plan.stream is not None:
            return self.plan.stream
        return self.body.get("stream") is True

    def model(self) -> str:
        model = self.body.get("model")
        if not isinstance(model, str) or not model:
            raise missing("model")
        return model

    def reported(self, usage: dict[str, Any]) -> dict[str, Any] | None:
        """The usage as the plan wants it told, or as the request itself says in ``simulated_usage``."""
        if isinstance(told := self.body.get("simulated_usage"), dict):
            return told
        if self.plan.usage == "absent":
            return None
        return odd(usage) if self.plan.usage == "odd" else usage

    def metadata(self) -> dict[str, Any]:
        value = self.body.get("metadata")
        if value is None:
            return {}
        if not isinstance(value, dict):
            raise wrong_type("metadata", "an object", value)
        if len(value) > 16:
            raise ApiError(
                400,
                f"Invalid 'metadata': too many properties. Expected an object with at most 16 properties, but got an "
                f"object with {len(value)} properties instead.",
                param="metadata",
                code="object_above_max_properties",
            )
        for name, text in value.items():
            if not isinstance(text, str):
                raise wrong_type(f"metadata.{name}", "a string", text)
        return value


def missing(param: str) -> ApiError:
    return ApiError(400, f"Missing required parameter: '{param}'.", code="missing_required_parameter", param=param)


def wrong_type(param: str, wanted: str, value: object) -> ApiError:
    names = {
        str: "a string",
        int: "an integer",
        list: "an array",
        dict: "an object",
        bool: "a boolean",
        float: "a decimal",
    }
    got = names.get(type(value), "null")
    message = f"Invalid type for '{param}': expected {wanted}, but got {got} instead."
    return ApiError(400, message, code="invalid_type", param=param)


def text_of(content: object) -> str:
    """The text of a message's content, whichever way it is written."""
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        parts = [part.get("text", "") for part in content if isinstance(part, dict)]
        return "".join(part for part in parts if isinstance(part, str))
    return ""
