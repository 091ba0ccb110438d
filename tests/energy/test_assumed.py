"""Which power figures of the shipped boards and parts are assumed: the table of `platforms/README.md` says how many."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

PLATFORMS = Path(__file__).parents[2] / "platforms"
ROW = re.compile(r"\| `(?P<file>(?:power|parts)/[\w.-]+)` \| (?P<assumed>\d+) of (?P<all>\d+) \|")


def figures(node: object, seen: set[int]) -> list[bool]:
    """Of each physical number below *node*, whether it is assumed; one that YAML repeats by reference counts once."""
    if id(node) in seen:
        return []
    if isinstance(node, dict):
        seen.add(id(node))
        if "value" in node and "unit" in node:
            return [bool(node.get("assumed"))]
        return [found for item in node.values() for found in figures(item, seen)]
    if isinstance(node, list):
        seen.add(id(node))
        return [found for item in node for found in figures(item, seen)]
    return []


def test_every_file_is_counted_as_it_is() -> None:
    counted = {}
    for folder in ("power", "parts"):
        for file in sorted((PLATFORMS / folder).glob("*.yaml")):
            found = figures(yaml.safe_load(file.read_text(encoding="utf-8")), set())
            counted[f"{folder}/{file.stem}"] = (sum(found), len(found))
    table = (PLATFORMS / "README.md").read_text(encoding="utf-8")
    told = {match["file"]: (int(match["assumed"]), int(match["all"])) for match in ROW.finditer(table)}
    assert told == {name: count for name, count in counted.items() if count[0]}
    total = f"{sum(a for a, _ in counted.values())} of {sum(n for _, n in counted.values())}"
    assert f"{total} power figures are assumed" in table


def test_a_figure_repeated_by_reference_counts_once() -> None:
    text = "{a: &x {value: 1, unit: s, assumed: true}, b: *x, c: [{value: 2, unit: s, source: book}]}"
    assert figures(yaml.safe_load(text), set()) == [True, False]
