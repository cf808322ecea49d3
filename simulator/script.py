"""What the model says: the same words for the same question, always.

The answer is `You said: …`, or `Tool said: …` after a tool's output.  `[[tool:NAME {json}]]` in the last user
text calls that tool; several are called at once, or one after the other where `[[then]]` stands between them.
`[[think]]` makes the model reason first, each time that it is asked.
"""

import re
from typing import NamedTuple

import msgspec

from simulator.options import Options

TOOL = re.compile(r"\[\[tool:([\w.-]+)\s*(\{.*?\})?\s*\]\]", re.DOTALL)
WORD = re.compile(r"\s*\S+|\s+$")
THEN = "[[then]]"
THOUGHT = "The user said something. I should repeat it."
FILLER = "lorem ipsum dolor sit amet consectetur adipiscing elit "


class ToolCall(NamedTuple):
    name: str
    arguments: str


class Said(NamedTuple):
    """One turn of the model."""

    text: str
    thought: str
    tools: list[ToolCall]


def filler(size: int) -> str:
    return (FILLER * (size // len(FILLER) + 1))[:size]


def speak(options: Options, question: str, tool_outputs: list[str], *, think: bool = False) -> Said:
    """What the model says to a question, after the outputs of the tools that it has called for it, round by round."""
    thought = THOUGHT if think or "[[think]]" in question else ""
    rounds = question.split(THEN)
    if "[[tool:" in question and len(tool_outputs) < len(rounds):
        calls = [ToolCall(m[1], _compact(m[2] or "{}")) for m in TOOL.finditer(rounds[len(tool_outputs)])]
        if calls:
            return Said("", thought, calls)
    if options.events:
        return Said(filler(options.bytes) * options.events, thought, [])
    if options.size:
        return Said(filler(options.size), thought, [])
    if tool_outputs:
        return Said(f"Tool said: {tool_outputs[-1][:200]}", thought, [])
    return Said(f"You said: {question[:200]}", thought, [])


def deltas(text: str, options: Options) -> list[str]:
    """The text in the pieces it is streamed in."""
    if options.events:
        return [text[at : at + options.bytes] for at in range(0, len(text), options.bytes)]
    if options.size:
        return [text[at : at + 1024] for at in range(0, len(text), 1024)]
    return WORD.findall(text)


def words(text: str) -> list[str]:
    return WORD.findall(text)


def _compact(arguments: str) -> str:
    """The arguments as JSON without spaces; what is no JSON stays as it is, as a model's mistake would."""
    try:
        return msgspec.json.format(arguments, indent=-1)
    except msgspec.DecodeError:
        return arguments
