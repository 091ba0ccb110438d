"""Trees of a fitted scikit-learn estimator as an ensemble that firmware is built from.

    from emulab.firmware.estimators import trees_of
    Path("forest.json").write_text(trees_of(estimator, scale=1 / 64, labels=["good", "worn"]).to_json())

It is called where the estimator was trained: emulab reads no pickled estimator, since loading one runs what is in it. The
features must be int8, as the device computes them; they hold no NaN, so how an estimator treats missing values does not
matter. scikit-learn goes left where x <= threshold, and a whole feature is at most the threshold's floor.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError

if TYPE_CHECKING:
    from emulab.firmware.trees import TreeEnsemble

KNOWN = "DecisionTreeClassifier, RandomForestClassifier, ExtraTreesClassifier or GradientBoostingClassifier"


def trees_of(estimator: Any, scale: float = 1.0, labels: Sequence[str] = ()) -> TreeEnsemble:
    """The ensemble of a fitted classifier: two classes or more, of one output.

    ``scale``: real value of one step of a feature; ``labels``: names of ``estimator.classes_``, in their order. A forest's
    leaves become shares of the classes in 1/255, boosted ones int16 of one scale. InputError for other estimators
    (regression, histogram boosting), or features that are not int8.
    """
    from emulab.firmware.trees import parse_trees

    name = type(estimator).__name__
    boosted = name == "GradientBoostingClassifier"
    if f"{name}" not in KNOWN.replace(",", " ").split():
        raise InputError(f"trees: {name} is not supported; expected a fitted {KNOWN}")
    if not hasattr(estimator, "classes_") or getattr(estimator, "n_outputs_", 1) != 1:
        raise InputError(f"trees: {name} is not fitted, or has several outputs")
    classes = [str(v) for v in estimator.classes_]
    if labels and len(labels) != len(classes):
        raise InputError(f"trees: {len(labels)} labels for the {len(classes)} classes {', '.join(classes)}")
    table = _Table()
    data: dict[str, Any] = {"format": "emulab-trees", "version": 1, "features": int(estimator.n_features_in_)}
    data |= {"scale": float(scale), "labels": [str(v) for v in labels] or classes}
    try:
        data |= _boosted(estimator, table) if boosted else _forest(estimator, table)
    except RecursionError:
        raise InputError(f"trees: {name} has trees too deep for a small device; give max_depth") from None
    return parse_trees({**data, "nodes": table.nodes, "leaves": [list(v) for v in table.leaves]}, name)


class _Table:
    """Nodes of all trees, and each different leaf once."""

    def __init__(self) -> None:
        self.nodes: list[list[int]] = []
        self.leaves: dict[tuple[int, ...], int] = {}

    def leaf(self, values: tuple[int, ...]) -> int:
        """The number that stands for it as a child."""
        return -self.leaves.setdefault(values, len(self.leaves)) - 1

    def add(self, tree: Any, leaf_of: Any, at: int = 0) -> int:
        """The tree below node *at*: its root's number."""
        if tree.children_left[at] < 0:
            return self.leaf(leaf_of(tree.value[at][0]))
        index = len(self.nodes)
        self.nodes.append([int(tree.feature[at]), _threshold(float(tree.threshold[at])), 0, 0])
        self.nodes[index][2] = self.add(tree, leaf_of, int(tree.children_left[at]))
        self.nodes[index][3] = self.add(tree, leaf_of, int(tree.children_right[at]))
        return index


def _threshold(value: float) -> int:
    if value == math.inf:  # splits off missing values only, which an integer cannot be
        return 127
    if not -128 <= value <= 127:
        raise InputError(f"trees: threshold {value:g}: expected an estimator trained on int8 features, -128 to 127")
    return math.floor(value)


def _forest(estimator: Any, table: _Table) -> dict[str, Any]:
    members = getattr(estimator, "estimators_", [estimator])

    def shares(value: Any) -> tuple[int, ...]:
        whole = float(value.sum())
        return tuple(round(255 * float(v) / whole) for v in value)

    return {"kind": "forest", "roots": [table.add(member.tree_, shares) for member in members]}


def _boosted(estimator: Any, table: _Table) -> dict[str, Any]:
    stages = [[member.tree_ for member in stage] for stage in estimator.estimators_]
    largest = max(float(abs(t.value[t.children_left < 0]).max()) for stage in stages for t in stage)
    leaf_scale = max(largest, 1e-30) * estimator.learning_rate / 32767

    def steps(value: Any) -> tuple[int, ...]:
        return (round(float(value[0]) * estimator.learning_rate / leaf_scale),)

    prior = [max(float(p), 1e-9) for p in getattr(estimator.init_, "class_prior_", [])]
    base = [math.log(p) for p in prior]
    roots = [table.add(t, steps) for stage in stages for t in stage]
    if len(estimator.classes_) == 2:
        # one tree a stage, for the second class: the first has nothing to add
        base = [0.0, math.log(prior[1] / prior[0])] if prior else []
        roots = [root for own in roots for root in (table.leaf((0,)), own)]
    return {
        "kind": "boosted",
        "leaf_scale": leaf_scale,
        "base": [round(v / leaf_scale) for v in base],
        "roots": roots,
    }
