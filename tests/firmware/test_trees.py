"""Tree ensembles: the file, emlearn's file, and C that answers as the walk on the host and as scikit-learn."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from emulab.errors import InputError
from emulab.firmware.codegen import KernelTarget
from emulab.firmware.emlearn import parse_emlearn
from emulab.firmware.trees import TreeEnsemble, parse_trees, read_trees
from emulab.model.platform import data_folder

sys.path.insert(0, str(Path(__file__).parent / "codegen"))
from codegen_host import HostModel

SHIPPED = data_folder("scenarios") / "predictive-maintenance"


def tree_data(**change: Any) -> dict[str, Any]:
    data: dict[str, Any] = {
        "format": "emulab-trees",
        "version": 1,
        "kind": "forest",
        "features": 3,
        "scale": 0.5,
        "labels": ["a", "b"],
        "roots": [0, 2],
        "nodes": [[0, 5, 1, -1], [2, -3, -2, -3], [1, 127, -1, -2]],
        "leaves": [[255, 0], [0, 255], [100, 155]],
    }
    return {key: value for key, value in {**data, **change}.items() if value is not None}


@st.composite
def ensembles(draw: st.DrawFn) -> TreeEnsemble:
    """Random ensembles of either kind; trees of up to four levels."""
    kind = draw(st.sampled_from(["forest", "boosted"]))
    features, classes = draw(st.sampled_from([1, 3, 300])), draw(st.integers(2, 4))
    low, high, width = (0, 255, classes) if kind == "forest" else (-32768, 32767, 1)
    row = st.lists(st.integers(low, high), min_size=width, max_size=width)
    leaves = draw(st.lists(row, min_size=1, max_size=6))
    nodes: list[list[int]] = []

    def grow(depth: int) -> int:
        if depth == 0 or draw(st.booleans()):
            return -draw(st.integers(1, len(leaves)))
        here = len(nodes)
        nodes.append([draw(st.integers(0, features - 1)), draw(st.integers(-128, 127)), 0, 0])
        nodes[here][2] = grow(depth - 1)
        nodes[here][3] = grow(depth - 1)
        return here

    rounds = draw(st.integers(1, 3))
    roots = [grow(4) for _ in range(rounds * (classes if kind == "boosted" else 1))]
    base = draw(st.one_of(st.just([]), st.lists(st.integers(-(10**6), 10**6), min_size=classes, max_size=classes)))
    labels = [str(c) for c in range(classes)]
    data = tree_data(kind=kind, features=features, labels=labels, roots=roots, nodes=nodes, leaves=leaves, base=base)
    return parse_trees(data)


def test_walk_by_hand() -> None:
    trees = parse_trees(tree_data())
    assert trees.sums(np.array([5, 0, -3], np.int8)).tolist() == [0 + 255, 255 + 0]
    assert trees.sums(np.array([5, 0, -2], np.int8)).tolist() == [100 + 255, 155 + 0]
    assert trees.sums(np.array([6, 127, 0], np.int8)).tolist() == [255 + 255, 0]
    assert (trees.depth, trees.classes, trees.output_scale) == (2, 2, 1 / 510)
    with pytest.raises(InputError, match="expected 3 features, found 2"):
        trees.sums(np.zeros(2, np.int8))


@given(ensembles())
def test_file_comes_back(trees: TreeEnsemble) -> None:
    assert parse_trees(json.loads(trees.to_json())) == trees


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"format": "pickle"}, "format"),
        ({"version": 2}, "version"),
        ({"kind": "bagged"}, "kind"),
        ({"features": 0}, "features"),
        ({"features": True}, "features"),
        ({"features": None}, "features"),
        ({"labels": ["one"]}, "labels"),
        ({"labels": [1, 2]}, "labels"),
        ({"scale": 0}, "scale"),
        ({"scale": float("nan")}, "scale"),
        ({"leaves": []}, "leaves"),
        ({"leaves": [[256, 0], [0, 0], [0, 0]]}, "leaves.0"),
        ({"leaves": [[0], [0, 0], [0, 0]]}, "leaves.0"),
        ({"nodes": [[3, 0, -1, -1]], "roots": [0]}, "nodes.0"),
        ({"nodes": [[0, 128, -1, -1]], "roots": [0]}, "nodes.0"),
        ({"nodes": [[0, 0, 0, -1]], "roots": [0]}, "nodes.0"),  # a loop
        ({"nodes": [[0, 0, 1, -1], [0, 0, 0, -1]], "roots": [0]}, "nodes.1"),  # a loop of two
        ({"nodes": [[0, 0, -4, -1]], "roots": [0]}, "nodes.0"),
        ({"nodes": "many"}, "nodes"),
        ({"roots": []}, "roots"),
        ({"roots": [3]}, "roots.0"),
        ({"base": [1]}, "base"),
        ({"base": [2**31 - 1, 0]}, "leaves"),
        ({"kind": "boosted", "leaves": [[1], [2], [3]], "roots": [0]}, "roots"),
    ],
)
def test_broken_files_are_one_line(change: dict[str, Any], place: str, tmp_path: Path) -> None:
    file = tmp_path / "trees.json"
    file.write_text(json.dumps(tree_data(**change)))
    with pytest.raises(InputError, match=f"trees.json: {place}: "):
        read_trees(file)


@given(st.recursive(st.none() | st.integers() | st.text(max_size=5) | st.floats(), st.lists, max_leaves=8), st.data())
def test_any_value_anywhere_is_refused_or_works(value: Any, data: st.DataObject) -> None:
    key = data.draw(st.sampled_from(sorted(tree_data())))
    try:
        trees = parse_trees(tree_data(**{key: value}))
    except InputError as error:
        assert "\n" not in str(error)
    else:
        assert len(trees.sums(np.zeros(trees.features, np.int8))) == trees.classes


def test_files_that_are_none(tmp_path: Path) -> None:
    for name, text in (("a.json", "{"), ("b.json", "[" * 100_000), ("c.json", "[]"), ("d.csv", "x,1"), ("e.csv", "")):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match=name[:1]):
            read_trees(tmp_path / name)
    with pytest.raises(InputError, match="no such file"):
        read_trees(tmp_path / "absent.json")
    for name in ("f.json", "g.csv"):
        (tmp_path / name).write_bytes(b'{"format": "\xff"}')
        with pytest.raises(InputError, match="not UTF-8 at byte 12"):
            read_trees(tmp_path / name)


@pytest.mark.skipif(
    not Path("/dev/zero").exists(), reason="needs /dev/zero, which this system has not; run it on Linux"
)
@pytest.mark.parametrize("suffix", [".json", ".csv"])
def test_a_device_without_end_is_not_read(suffix: str, tmp_path: Path) -> None:
    endless = tmp_path / f"endless{suffix}"
    endless.symlink_to("/dev/zero")
    with pytest.raises(InputError, match="not an ordinary file"):
        read_trees(endless)


EMLEARN = "f,2\r\nc,3\r\nlb,8\r\nl,[  0 255   0]\r\nl,[10 20 225]\r\nr,0\r\nn,1,3.5,1,-1\r\nn,0,-0.5,-1,-2"


def test_emlearn_file() -> None:
    trees = parse_emlearn(EMLEARN, labels=("x", "y", "z"), scale=0.25)
    assert trees.nodes == ((1, 3, 1, -1), (0, -1, -1, -2))
    assert trees.leaves == ((0, 255, 0), (10, 20, 225))
    assert (trees.labels, trees.scale, trees.features) == (("x", "y", "z"), 0.25, 2)
    hard = parse_emlearn("f,1\nc,2\nlb,0\nl,1\nl,0\nr,0\nn,0,1.5,-1,-2")
    assert hard.leaves == ((0, 255), (255, 0)) and hard.labels == ("0", "1")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("f,2\r\n", "", "features"),
        ("c,3", "c,1", "2 to 256 classes"),
        ("n,1,3.5,1,-1", "n,1,3.5,1", "line 7"),
        ("n,1,3.5", "n,1,inf", "line 7"),
        ("n,1,3.5", "n,1,nan", "line 7"),
        ("n,1,3.5,1,-1", "n,1,3.5,0,-1", "nodes.0"),
        ("lb,8", "lb,0", "class below 3"),
        ("n,0,-0.5", "n,0,-200", "nodes.1"),
    ],
)
def test_broken_emlearn_files(old: str, new: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        parse_emlearn(EMLEARN.replace(old, new))


def test_forest_through_emlearn_answers_as_scikit_learn() -> None:
    errors = np.geterr()
    emlearn = pytest.importorskip("emlearn", reason="pip install 'emulab[train]'")
    np.seterr(**errors)  # emlearn makes every underflow of the process an error
    ensemble = pytest.importorskip("sklearn.ensemble", reason="pip install scikit-learn")
    rng = np.random.default_rng(5)
    x = rng.integers(-20, 20, (400, 6)).astype(np.int8)
    y = (x[:, 0] + x[:, 1] > 3).astype(int) + (x[:, 2] > 8)
    model = ensemble.RandomForestClassifier(7, max_depth=6, random_state=1).fit(x, y)
    saved = emlearn.convert(model, method="inline", dtype="int16_t", leaf_bits=8).save(name="m", format="csv")
    trees = parse_emlearn(saved)
    shares = np.array([trees.sums(row) for row in x]) * trees.output_scale
    assert np.abs(shares - model.predict_proba(x)).max() < 0.006  # leaves have 8 bits


@settings(max_examples=6, deadline=None)
@given(trees=ensembles(), data=st.data())
def test_generated_c_equals_the_walk(trees: TreeEnsemble, data: st.DataObject, tmp_path_factory: Any) -> None:
    folder = tmp_path_factory.mktemp("trees")
    (folder / "trees.json").write_text(trees.to_json())
    model = HostModel(folder / "trees.json", KernelTarget.PORTABLE, folder)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    for x in rng.integers(-128, 128, (20, trees.features)).astype(np.int8):
        assert (model(x)[0].reshape(-1) == trees.sums(x)).all()
    assert model.generated.layers[0].symbol == "emulab_layer_0_trees"


@pytest.mark.parametrize("name", ["forest.json", "boosted.json"])
def test_shipped_ensembles_in_c(name: str, tmp_path: Path) -> None:
    from emulab.quality import open_dataset

    trees = read_trees(SHIPPED / name)
    model = HostModel(SHIPPED / name, KernelTarget.PORTABLE, tmp_path)
    for sample in open_dataset(SHIPPED / "eval.npz", model=SHIPPED / name):
        x = np.frombuffer(sample.payload, np.int8)
        assert (model(x)[0].reshape(-1) == trees.sums(x)).all()
