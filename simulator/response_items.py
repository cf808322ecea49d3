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
    return SEAL + _mark(account) + body


def _mark(account: Account) -> str:
    return hashlib.sha256(account.key.encode()).hexdigest()[:16]


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


def last_words(asked: dict[str, Any]) -> tuple[str, str | None]:
    """The last user text, and the tool's output if the input ends with one."""
    given = asked.get("input")
    if isinstance(given, str):
        return given, None
    items = [item for item in given or [] if isinstance(item, dict)]
    question = next((text_of(item.get("content")) for item in reversed(items) if item.get("role") == "user"), "")
    last = items[-1] if items else {}
    if str(last.get("type", "")).endswith("_call_output"):
        output = last.get("output", "")
        return question, output if isinstance(output, str) else text_of(output)
    return question, None


def output_items(call: Call, said: Said, owner: str) -> list[dict[str, Any]]:
    """What the model puts out, in its final form."""
    items: list[dict[str, Any]] = []
    if said.thought:
        items.append(_reasoning(call, said, item_id("rs", owner, 0xE000)))
    if asks_compaction(call.body):
        return [*items, compaction(call.account, owner)]
    for number, tool in enumerate(said.tools):
        items.append(
            {
                "id": item_id("fc", owner, 0xF000 + number),
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
                "id": item_id("msg", owner, 0xF000),
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
        if isinstance(content, str) and content.startswith(SEAL) and _mark(call.account) not in content[:40]:
            raise ApiError(
                400,
                f"The encrypted content {content[:4]}...{content[-4:]} could not be verified. Reason: Encrypted "
                "content could not be decrypted or parsed.",
                code="invalid_encrypted_content",
            )
