"""Estimators of scikit-learn as ensembles: the same answers, from two classes to many, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.firmware.estimators import trees_of
from emulab.firmware.trees import parse_trees

ensemble = pytest.importorskip("sklearn.ensemble", reason="scikit-learn is not installed; pip install 'emulab[train]'")


def samples(classes: int, n: int = 400) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(classes)
    x = random.integers(-128, 128, (n, 12)).astype(np.int8)
    y = (np.abs(x[:, 0].astype(int)) + x[:, 3] // 2 + random.integers(0, 20, n)) * classes // 212 % classes
    return x, y


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("kind", ["RandomForestClassifier", "ExtraTreesClassifier", "GradientBoostingClassifier"])
def test_answers_are_the_estimators(kind: str, classes: int) -> None:
    x, y = samples(classes)
    model = getattr(ensemble, kind)(n_estimators=8, max_depth=4, random_state=1).fit(x, y)
    trees = trees_of(model, 0.5, [f"class {i}" for i in range(classes)])
    assert (trees.classes, trees.features, trees.scale) == (classes, 12, 0.5)
    probe, _ = samples(classes + 1)
    sums = np.array([trees.sums(row) for row in probe]) * trees.output_scale
    if kind == "GradientBoostingClassifier":
        wanted = model.decision_function(probe)
        found = sums[:, 1] - sums[:, 0] if classes == 2 else sums - sums.mean(axis=1, keepdims=True)
        wanted = wanted if classes == 2 else wanted - wanted.mean(axis=1, keepdims=True)
        assert found == pytest.approx(wanted, abs=20 * trees.leaf_scale)
    else:
        assert sums == pytest.approx(model.predict_proba(probe), abs=0.5 / 255 + 1e-9)
    assert np.mean(sums.argmax(axis=1) == model.predict(probe)) > 0.97  # a tie may fall to the other side
    assert parse_trees(json.loads(trees.to_json())) == trees


def test_a_single_tree_and_missing_values() -> None:
    tree = pytest.importorskip("sklearn.tree")
    x, y = samples(3)
    assert len(trees_of(tree.DecisionTreeClassifier(max_depth=3).fit(x, y)).roots) == 1
    holed = x.astype(float)
    holed[::7, 0] = np.nan
    model = ensemble.RandomForestClassifier(5, max_depth=4, random_state=0).fit(holed, y)
    trees = trees_of(model)
    assert np.mean([trees.sums(row).argmax() == a for row, a in zip(x, model.predict(x), strict=True)]) > 0.97


def refused() -> list[tuple[Any, str]]:
    x, y = samples(2)
    return [
        (ensemble.RandomForestRegressor(2).fit(x, y), "RandomForestRegressor is not supported"),
        (ensemble.HistGradientBoostingClassifier(max_iter=2).fit(x, y), "is not supported"),
        (ensemble.RandomForestClassifier(), "is not fitted"),
        (ensemble.RandomForestClassifier(2).fit(x, np.stack([y, y], axis=1)), "several outputs"),
        (ensemble.RandomForestClassifier(2).fit(x * 100.0, y), "int8 features"),
        ("a path", "str is not supported"),
    ]


def test_what_is_refused_says_why() -> None:
    for estimator, said in refused():
        with pytest.raises(InputError, match=said):
            trees_of(estimator)
    x, y = samples(2)
    with pytest.raises(InputError, match="3 labels for the 2 classes"):
        trees_of(ensemble.RandomForestClassifier(2).fit(x, y), 1.0, ["a", "b", "c"])
