"""Read a tree classifier saved by `emlearn` (``convert(estimator, leaf_bits=8).save(format="csv")``).

Lines: ``f,FEATURES``; ``c,CLASSES``; ``lb,LEAF_BITS``; ``l,LEAF`` (a class number, or ``[shares in 1/255]``);
``r,ROOT``; ``n,FEATURE,THRESHOLD,LEFT,RIGHT``, where a child above 0 is relative to its node and a child below 0 is
leaf -child - 1.

The estimator must have been trained on int8 features. scikit-learn goes left where x <= threshold, so the threshold
becomes its floor. (emlearn 0.23's own C for integers compares x < trunc(threshold), which answers otherwise where x
is the floor.)
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.firmware.trees import TreeEnsemble


def parse_emlearn(
    text: str, origin: str = "emlearn csv", labels: tuple[str, ...] = (), scale: float = 1.0
) -> TreeEnsemble:
    """The ensemble in *text*; class names default to their numbers. InputError names *origin* and the line."""
    from emulab.firmware.trees import parse_trees

    single: dict[str, int] = {}
    leaves: list[list[int]] = []
    roots: list[int] = []
    nodes: list[list[int]] = []
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        tag, _, rest = line.partition(",")
        try:
            if tag in ("f", "c", "lb"):
                single[tag] = int(rest)
            elif tag == "l":
                leaves.append([int(v) for v in rest.strip().strip("[]").split()])
            elif tag == "r":
                roots.append(int(rest))
            elif tag == "n":
                feature, threshold, left, right = rest.split(",")
                level = math.floor(float(threshold))
                here = len(nodes)
                children = [int(c) if int(c) < 0 else here + int(c) for c in (left, right)]
                nodes.append([int(feature), min(level, 127), *children])
            else:
                raise ValueError
        except (ValueError, OverflowError):
            raise InputError.at(
                origin, f"line {number}", f"not a line of an emlearn tree file: {line[:60]!r}"
            ) from None
    for tag, meaning in (("f", "features"), ("c", "classes"), ("lb", "leaf bits")):
        if tag not in single:
            raise InputError.at(origin, tag, f"no line with the number of {meaning}; expected an emlearn tree file")
    classes = single["c"]
    if not 2 <= classes <= 256:
        raise InputError.at(origin, "c", f"expected a classifier of 2 to 256 classes, found {classes}")
    if single["lb"] == 0:
        for row in leaves:
            if len(row) != 1 or not 0 <= row[0] < classes:
                raise InputError.at(origin, "l", f"expected a class below {classes}, found {row}")
        leaves = [[255 if c == row[0] else 0 for c in range(classes)] for row in leaves]
    return parse_trees(
        {
            "format": "emulab-trees",
            "version": 1,
            "kind": "forest",
            "features": single["f"],
            "scale": scale,
            "labels": list(labels) or [str(c) for c in range(classes)],
            "roots": roots,
            "nodes": nodes,
            "leaves": leaves,
        },
        origin,
    )
