"""Tree ensembles as data: a random forest or gradient-boosted trees over int8 features, read, checked and walked.

The file is JSON, so that it can be read without running anything from it (a pickled estimator cannot)::

    {"format": "emulab-trees", "version": 1, "kind": "forest" | "boosted",
     "features": 128, "scale": 0.015625, "labels": ["normal", ...],
     "roots": [0, ...],                       index of the first node of every tree
     "nodes": [[feature, threshold, left, right], ...],
     "leaves": [[...], ...]}

``left`` is taken where ``x[feature] <= threshold``; a child c below 0 is leaf ``-c - 1``, any other the node of that
index, which is greater than its parent's. Features are int8, so thresholds are exact integers. ``scale``: real value of
one step of a feature.

A *forest*'s leaf holds the share of every class in 1/255; its answer is the mean over trees. A *boosted* leaf holds one
int16 in steps of ``leaf_scale``, tree t adds to class ``t % classes``, and the sum starts from ``base`` (in the same
steps, int32); its answer is the sum, in real units.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from emulab.errors import InputError
from emulab.model.files import read_input

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SUFFIXES = (".json", ".csv")
"""File names that are taken for tree ensembles; all others are .tflite."""
MAX_FILE_BYTES = 16 << 20
MAX_NODES = 32767
MAX_FEATURES = 4096
MAX_CLASSES = 256


@dataclass(frozen=True)
class TreeEnsemble:
    """A checked ensemble; see the module for the meaning of the fields."""

    kind: Literal["forest", "boosted"]
    features: int
    scale: float
    labels: tuple[str, ...]
    roots: tuple[int, ...]
    nodes: tuple[tuple[int, int, int, int], ...]
    leaves: tuple[tuple[int, ...], ...]
    leaf_scale: float = 1 / 255
    base: tuple[int, ...] = ()

    @property
    def classes(self) -> int:
        return len(self.labels)

    @property
    def depth(self) -> int:
        """Most comparisons from a root to a leaf."""
        below = [0] * len(self.nodes)
        for index in range(len(self.nodes) - 1, -1, -1):
            children = [below[c] for c in self.nodes[index][2:] if c >= 0]
            below[index] = 1 + max(children, default=0)
        return max((below[root] for root in self.roots if root >= 0), default=0)

    def sums(self, x: NDArray[np.int8]) -> NDArray[np.int64]:
        """Integer sum over trees per class of one sample, (features,) int8 -> (classes,): what firmware computes."""
        import numpy as np

        total = np.array(self.base or (0,) * self.classes, np.int64)
        values = [int(v) for v in x.reshape(-1)]
        if len(values) != self.features:
            raise InputError(f"trees: expected {self.features} features, found {len(values)}")
        for tree, at in enumerate(self.roots):
            while at >= 0:
                feature, threshold, left, right = self.nodes[at]
                at = left if values[feature] <= threshold else right
            leaf = self.leaves[-at - 1]
            if self.kind == "forest":
                total += leaf
            else:
                total[tree % self.classes] += leaf[0]
        return total

    @property
    def output_scale(self) -> float:
        """Real value of one step of :meth:`sums`: a forest's answers are mean shares, boosted ones scores."""
        return self.leaf_scale / (len(self.roots) if self.kind == "forest" else 1)

    def to_json(self) -> str:
        """The file's text, one line per table row, so that a change can be read."""
        head = {
            "format": "emulab-trees",
            "version": 1,
            "kind": self.kind,
            "features": self.features,
            "scale": self.scale,
            "labels": list(self.labels),
            "leaf_scale": self.leaf_scale,
            "base": list(self.base),
            "roots": list(self.roots),
        }
        text = json.dumps(head)[:-1]
        for name, rows in (("nodes", self.nodes), ("leaves", self.leaves)):
            body = ",\n".join(json.dumps(list(row), separators=(",", ":")) for row in rows)
            text += f',\n"{name}": [\n{body}\n]'
        return text + "}\n"


def read_trees(path: Path) -> TreeEnsemble:
    """Read and check an ensemble, ours (.json) or emlearn's (.csv).

    InputError names the file, the place and what was expected.
    """
    content = read_input(path, MAX_FILE_BYTES, "an ensemble of trees")
    try:
        text = content.decode("utf-8")
        data = None if path.suffix == ".csv" else json.loads(text)
    except UnicodeDecodeError as error:
        raise InputError.at(
            path, "", f"not UTF-8 at byte {error.start}; expected an ensemble of trees as text"
        ) from None
    except (ValueError, RecursionError) as error:
        raise InputError.at(path, "", f"not JSON: {' '.join(str(error).split())}") from None
    if path.suffix == ".csv":
        from emulab.firmware.emlearn import parse_emlearn

        return parse_emlearn(text, str(path))
    return parse_trees(data, str(path))


def parse_trees(data: Any, origin: str = "trees") -> TreeEnsemble:
    """Check parsed JSON; InputError as :func:`read_trees`."""

    def fail(place: str, message: str) -> InputError:
        return InputError.at(origin, place, message)

    if not isinstance(data, dict) or data.get("format") != "emulab-trees":
        raise fail("format", "expected 'emulab-trees'")
    if data.get("version") != 1:
        raise fail("version", f"expected 1, found {data.get('version')!r}")
    kind = data.get("kind")
    if kind not in ("forest", "boosted"):
        raise fail("kind", f"expected 'forest' or 'boosted', found {kind!r}")
    features, scale, labels = data.get("features"), data.get("scale", 1.0), data.get("labels")
    if not isinstance(features, int) or not _is_int(features, 1, MAX_FEATURES):
        raise fail("features", f"expected a number from 1 to {MAX_FEATURES}, found {features!r}")
    if (
        not isinstance(labels, list)
        or not 2 <= len(labels) <= MAX_CLASSES
        or not all(isinstance(v, str) for v in labels)
    ):
        raise fail("labels", f"expected 2 to {MAX_CLASSES} class names")
    leaf_scale = data.get("leaf_scale", 1 / 255)
    for name, value in (("scale", scale), ("leaf_scale", leaf_scale)):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e6:
            raise fail(name, f"expected a positive number, found {value!r}")
    leaves = _rows(data, "leaves", fail)
    width, low, high = (len(labels), 0, 255) if kind == "forest" else (1, -32768, 32767)
    for index, row in enumerate(leaves):
        if len(row) != width or not all(_is_int(v, low, high) for v in row):
            raise fail(f"leaves.{index}", f"expected {width} numbers from {low} to {high}")
    nodes = _rows(data, "nodes", fail, least=0)
    for index, row in enumerate(nodes):
        if len(row) != 4 or not _is_int(row[0], 0, features - 1) or not _is_int(row[1], -128, 127):
            raise fail(
                f"nodes.{index}", f"expected [feature below {features}, threshold from -128 to 127, left, right]"
            )
        for child in row[2:]:
            if not (_is_int(child, -len(leaves), -1) or _is_int(child, index + 1, len(nodes) - 1)):
                raise fail(f"nodes.{index}", f"child {child!r} is no leaf and no later node")
    roots = data.get("roots")
    if not isinstance(roots, list) or not 1 <= len(roots) <= MAX_NODES:
        raise fail("roots", f"expected 1 to {MAX_NODES} trees")
    for index, root in enumerate(roots):
        if not _is_int(root, -len(leaves), len(nodes) - 1):
            raise fail(f"roots.{index}", f"{root!r} is no node")
    base = data.get("base", [])
    if (
        not isinstance(base, list)
        or len(base) not in (0, len(labels))
        or not all(_is_int(v, -(2**31), 2**31 - 1) for v in base)
    ):
        raise fail("base", f"expected no number or {len(labels)}")
    most = max(abs(v) for v in base) if base else 0
    if most + len(roots) * max(abs(v) for row in leaves for v in row) > 2**31 - 1:
        raise fail("leaves", "the sum over trees can leave 32 bits")
    if kind == "boosted" and len(roots) % len(labels):
        raise fail("roots", f"boosted trees come in rounds of {len(labels)}, found {len(roots)}")
    return TreeEnsemble(
        kind,
        features,
        float(scale),
        tuple(labels),
        tuple(roots),
        tuple((row[0], row[1], row[2], row[3]) for row in nodes),
        tuple(tuple(row) for row in leaves),
        float(leaf_scale),
        tuple(base),
    )


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _rows(data: dict[str, Any], name: str, fail: Any, least: int = 1) -> list[list[Any]]:
    rows = data.get(name)
    if not isinstance(rows, list) or not least <= len(rows) <= MAX_NODES or not all(isinstance(r, list) for r in rows):
        raise fail(name, f"expected {least} to {MAX_NODES} rows")
    return rows
