"""Items of the Responses API: what a request's input holds, and what the model puts out."""

import base64
import hashlib
from typing import Any

from simulator.call import Call, text_of
from simulator.errors import ApiError
from simulator.script import Said
from simulator.store import Account, item_id

SEAL = "gAAAAABsim"
"""How our encrypted content begins; the account's own mark follows, since no other account can read it."""


def sealed(account: Account, text: str) -> str:
    body = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest() * 4).decode().rstrip("=")
    return SEAL + account.mark + body


def input_items(asked: dict[str, Any], owner: str) -> list[dict[str, Any]]:
    """The input of a request as items with ids."""
    given = asked.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    items = []
    for number, item in enumerate(given or []):
        if item.get("type", "message") == "message":
            items.append(_message(item, item_id("msg", owner, number)))
        elif item.get("type") != "item_reference":
            items.append({"id": item_id("item", owner, number), "status": "completed"} | item)
    return items


def _message(item: dict[str, Any], ident: str) -> dict[str, Any]:
    content = item.get("content", "")
    if isinstance(content, str):
        kind = "output_text" if item.get("role") == "assistant" else "input_text"
        content = [{"type": kind, "text": content} | ({"annotations": []} if kind == "output_text" else {})]
    return {"id": ident, "type": "message", "status": "completed"} | item | {"content": content}


def last_words(asked: dict[str, Any]) -> tuple[str, list[str]]:
    """The last user text, and what tools have put out since, the last of each round."""
    given = asked.get("input")
    if isinstance(given, str):
        return given, []
    question, again = "", False
    outputs: list[str] = []
    for item in given or []:
        if not isinstance(item, dict):
            continue
        is_output = str(item.get("type", "")).endswith("_call_output")
        if item.get("role") == "user":
            question, outputs = text_of(item.get("content")), []
        elif is_output:
            output = item.get("output", "")
            outputs[-1 if again else len(outputs) :] = [output if isinstance(output, str) else text_of(output)]
        again = is_output
    return question, outputs


def output_items(call: Call, said: Said, owner: str) -> list[dict[str, Any]]:
    """What the model puts out, in its final form."""
    items: list[dict[str, Any]] = []
    first = 0xF800 if said.thought else 0xF000
    if said.thought:
        items.append(_reasoning(call, said, item_id("rs", owner, 0xE000)))
    if asks_compaction(call.body):
        return [*items, compaction(call.account, owner)]
    for number, tool in enumerate(said.tools):
        items.append(
            {
                "id": item_id("fc", owner, first + number),
                "type": "function_call",
                "status": "completed",
                "arguments": tool.arguments,
                "call_id": item_id("call", owner, number),
                "name": tool.name,
            }
        )
    if not said.tools:
        text = {"type": "output_text", "annotations": [], "logprobs": [], "text": said.text}
        items.append(
            {
                "id": item_id("msg", owner, first),
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [text],
            }
        )
    return items


def _reasoning(call: Call, said: Said, ident: str) -> dict[str, Any]:
    item: dict[str, Any] = {
        "id": ident,
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": said.thought}],
    }
    if "reasoning.encrypted_content" in (call.body.get("include") or []):
        item["encrypted_content"] = sealed(call.account, ident)
    return item


def asks_compaction(asked: dict[str, Any]) -> bool:
    given = asked.get("input")
    if not isinstance(given, list) or not given or not isinstance(given[-1], dict):
        return False
    return given[-1].get("type") == "compaction_trigger"


def compaction(account: Account, owner: str) -> dict[str, Any]:
    return {
        "id": item_id("cmp", owner, 0xF000),
        "type": "compaction",
        "encrypted_content": sealed(account, owner),
    }


def check_items(call: Call) -> None:
    """Refuse references to items, and encrypted content, of somebody else."""
    given = call.body.get("input")
    for item in given if isinstance(given, list) else []:
        if not isinstance(item, dict):
            raise ApiError(400, "Invalid type for 'input': expected an item.", param="input", code="invalid_type")
        if item.get("type") == "item_reference" and not call.account.has_item(str(item.get("id"))):
            raise ApiError(
                404,
                f"Item with id '{item.get('id')}' not found. Items are not persisted when `store` is set to false. "
                "Try again with `store` set to true, or remove this item from your input.",
                param="input",
            )
        content = item.get("encrypted_content")
        if isinstance(content, str) and content.startswith(SEAL) and call.account.mark not in content[:40]:
            raise ApiError(
                400,
                f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: Encrypted "
                "content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )
    _check_reasoning([item for item in given if isinstance(item.get("id"), str)] if isinstance(given, list) else [])


def _check_reasoning(items: list[dict[str, Any]]) -> None:
    """Refuse items whose ids say that they followed reasoning that isn't there."""
    known = {item["id"] for item in items}
    for item in items:
        _, _, number = item["id"].partition("_")
        reasoning = f"rs_{number[:-4]}e000"
        if number[-4:-2] == "f8" and "-" not in number and reasoning not in known:  # clients' own ids are UUIDs
            message = f"Item '{item['id']}' of type '{item.get('type', 'message')}' was provided without its required "
            raise ApiError(400, f"{message}'reasoning' item: '{reasoning}'.", param="input")
