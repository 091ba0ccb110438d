"""The clock tree of an SoC: oscillators, multiplexers, dividers and PLLs whose settings are register fields.

``soc.clocks`` maps a name to a node:

- ``{hz: f}`` a fixed source, ``{board: key}`` an oscillator of the board (``board.clocks``), 0 Hz where not fitted;
- ``{from: name, divide: F, multiply: F}`` where F is a number, or ``{field: "rcc.CFGR[7:4]", plus: 1}`` or
  ``{field: ..., table: [...]}`` or ``{field: ..., table_default: {value: factor}}``, or a list of those;
- ``{hz: f, divide: F}`` a fixed source with a divider;
- ``{mux: "rcc.CFGR[3:2]", inputs: [name, ...]}`` (null: no clock);
- ``{table: "rcc.CR[7:4]", hz: [...]}`` an oscillator with a range field.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from emulab.errors import InputError

_FIELD = re.compile(r"^(\w+)\.(\w+)\[(\d+)(?::(\d+))?\]$")

ReadRegister = Callable[[str, str], int]


def parse_field(text: str) -> tuple[str, str, int, int]:
    """``rcc.CFGR[7:4]`` as (peripheral, register, shift, mask)."""
    found = _FIELD.match(text)
    if not found:
        raise InputError(f"clock tree: {text!r} is not a register field like rcc.CFGR[7:4]")
    high = int(found[3])
    low = int(found[4]) if found[4] is not None else high
    return found[1], found[2], low, (1 << (high - low + 1)) - 1


class ClockTree:
    """Frequencies of an SoC's clocks, from register values read through *read_register*."""

    def __init__(self, nodes: Mapping[str, Any], board: Mapping[str, Any], read_register: ReadRegister) -> None:
        self.nodes, self.board, self.read_register = nodes, board, read_register
        self.depends_on = {f"{p}.{r}" for text in _fields(nodes) for p, r, _, _ in (parse_field(text),)}
        self._cache: dict[str, float] = {}

    def invalidate(self) -> None:
        self._cache.clear()

    def hz(self, name: str) -> float:
        """Frequency of clock *name* in hertz; 0 where it is off or not fitted."""
        if name not in self._cache:
            if name not in self.nodes:
                raise InputError(f"soc.clocks: clock {name!r} is not described")
            self._cache[name] = self._evaluate(self.nodes[name])
        return self._cache[name]

    def _field(self, text: str) -> int:
        peripheral, register, shift, mask = parse_field(text)
        return (self.read_register(peripheral, register) >> shift) & mask

    def _factor(self, factor: Any) -> float:
        if isinstance(factor, list):
            product = 1.0
            for part in factor:
                product *= self._factor(part)
            return product
        if not isinstance(factor, dict):
            return float(factor)
        value = self._field(factor["field"])
        if "table" in factor:
            return float(factor["table"][min(value, len(factor["table"]) - 1)])
        if "table_default" in factor:
            return float(factor["table_default"].get(value, 1))
        return float(value + factor.get("plus", 0))

    def _evaluate(self, node: Mapping[str, Any]) -> float:
        if "mux" in node:
            inputs = node["inputs"]
            choice = self._field(node["mux"])
            chosen = inputs[choice] if choice < len(inputs) else None
            return self.hz(chosen) if chosen else 0.0
        if "table" in node:
            choice = self._field(node["table"])
            return float(node["hz"][min(choice, len(node["hz"]) - 1)])
        if "board" in node:
            base = float(self.board.get(node["board"], 0))
        elif "from" in node:
            base = self.hz(node["from"])
        else:
            base = float(node["hz"])
        multiply, divide = self._factor(node.get("multiply", 1)), self._factor(node.get("divide", 1))
        return base * multiply / divide if divide else 0.0


def _fields(nodes: Any) -> list[str]:
    found: list[str] = []
    if isinstance(nodes, Mapping):
        for key, value in nodes.items():
            if key in ("mux", "table", "field") and isinstance(value, str):
                found.append(value)
            else:
                found += _fields(value)
    elif isinstance(nodes, list):
        for value in nodes:
            found += _fields(value)
    return found
