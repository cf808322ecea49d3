"""Everything the process remembers: accounts, records, planned faults, sign-ins."""

import random
from typing import TYPE_CHECKING, Any

import msgspec

from simulator.codex_accounts import CodexAccounts
from simulator.options import Options, as_options, parse
from simulator.records import Records
from simulator.store import Store

if TYPE_CHECKING:
    from simulator.http import Connection


class Rule(msgspec.Struct):
    """Faults for the next requests, whatever their model."""

    fault: str
    times: int | None = None
    rate: float = 1.0
    path: str = ""
    used: int = 0


class World:
    def __init__(self) -> None:
        self.connections: set[Connection] = set()
        self.reset()

    def reset(self) -> None:
        self.store = Store()
        self.records = Records()
        self.codex = CodexAccounts()
        self.rules: list[Rule] = []
        self._chance = random.Random(1)

    def options(self, model: str | None, path: str) -> Options:
        """The options in the model's name, and those the control call planned for this request."""
        text = model.partition("+")[2] if model is not None and "+" in model else ""
        for rule in self.rules:
            if rule.path not in path or (rule.times is not None and rule.used >= rule.times):
                continue
            if rule.rate < 1.0 and self._chance.random() >= rule.rate:
                continue
            rule.used += 1
            text = f"{text},{as_options(rule.fault)}"
        return parse(text)

    def shown_rules(self) -> list[Any]:
        return [msgspec.to_builtins(rule) for rule in self.rules]
