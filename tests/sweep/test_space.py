"""The space of a sweep."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulab.errors import InputError
from emulab.sweep.journal import Journal, variant_key
from emulab.sweep.pareto import front
from emulab.sweep.space import assignments, parse_axis, parse_constraint, variants


def axis(text: str, base: Path = Path(), seed: int = 0) -> tuple[object, ...]:
    return parse_axis(text, base, seed).values


def test_lists_and_ranges() -> None:
    assert axis("k=1,b,2.5") == (1, "b", 2.5)
    assert axis("k=0:10:lin3") == (0.0, 5.0, 10.0)
    assert axis("k=1:100:log3") == (1.0, 10.0, 100.0)
    drawn = axis("k=1:2:rand5", seed=7)
    assert drawn == axis("k=1:2:rand5", seed=7) != axis("k=1:2:rand5", seed=8)
    assert all(1 <= v <= 2 for v in drawn)  # type: ignore[operator]


def test_globs_are_relative_to_the_scenario(tmp_path: Path) -> None:
    for name in ("b.tflite", "a.tflite"):
        (tmp_path / name).touch()
    assert [Path(str(v)).name for v in axis("workload.model=*.tflite", tmp_path)] == ["a.tflite", "b.tflite"]


@pytest.mark.parametrize(
    "bad", ["k", "k=", "=3", "k=0:10:log3", "k=1:x:lin3", "k=1:2:log0", "k=1:2:foo:lin", "k=*.none", "k=[1"]
)
def test_wrong_axes(bad: str) -> None:
    with pytest.raises(InputError, match="--vary"):
        axis(bad)


def test_product_constraints_and_sample() -> None:
    axes = [parse_axis("a=1,2,3", Path(), 0), parse_axis("b=1,2,3", Path(), 0)]
    assert len(variants(axes)) == 9
    kept = variants(axes, [parse_constraint("a<b")])
    assert kept == [{"a": 1, "b": 2}, {"a": 1, "b": 3}, {"a": 2, "b": 3}]
    sample = variants(axes, sample=4, seed=1)
    assert len(sample) == 4 and sample == variants(axes, sample=4, seed=1)
    with pytest.raises(InputError, match="given twice"):
        variants([axes[0], axes[0]])
    with pytest.raises(InputError, match="not a varied key"):
        variants(axes, [parse_constraint("a<c.d")])


def test_assignments_split_targets_from_values() -> None:
    assert assignments({"platform": "p", "x.y": 2.5, "z": "s", "backend": "qemu"}) == (
        ["x.y=2.5", "z=s"],
        ["p"],
        ["qemu"],
    )


def test_front_keeps_what_nothing_beats() -> None:
    rows = [
        {"energy_per_inference_j": 1.0, "accuracy_top1": 0.8},
        {"energy_per_inference_j": 2.0, "accuracy_top1": 0.9},
        {"energy_per_inference_j": 3.0, "accuracy_top1": 0.85},
        {"energy_per_inference_j": 0.5, "accuracy_top1": None},
        {"energy_per_inference_j": 1.0, "accuracy_top1": 0.8},
    ]
    assert front(rows, ["energy_per_inference_j", "accuracy_top1"]) == [0, 1, 4]
    assert front(rows, ["energy_per_inference_j"]) == [3]


def test_front_agrees_with_brute_force() -> None:
    import random

    generator = random.Random(3)
    for dimensions in (2, 3):
        names = ["latency_s", "ram_bytes", "accuracy_top1"][:dimensions]
        rows = [{n: float(generator.randint(0, 6)) for n in names} for _ in range(60)]
        cost = [[-r[n] if n == "accuracy_top1" else r[n] for n in names] for r in rows]
        brute = [
            i
            for i, a in enumerate(cost)
            if not any(all(x <= y for x, y in zip(b, a, strict=True)) and b != a for b in cost)
        ]
        assert front(rows, names) == brute


def test_journal_survives_a_torn_line(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    journal = Journal(file, "id", resume=False)
    journal.add("k1", {"x": 1})
    journal.add("k2", {"x": 2})
    journal.close()
    with file.open("ab") as stream:
        stream.write(b'{"key": "k3", "ro')
    again = Journal(file, "id", resume=True)
    assert again.rows == {"k1": {"x": 1}, "k2": {"x": 2}}
    again.add("k3", {"x": 3})
    again.close()
    assert Journal(file, "id", resume=True).rows["k3"] == {"x": 3}
    with pytest.raises(InputError, match="another sweep"):
        Journal(file, "other", resume=True)
    with pytest.raises(InputError, match="--resume"):
        Journal(file, "id", resume=False)


def test_variant_key_ignores_order() -> None:
    assert variant_key({"a": 1, "b": 2}) == variant_key({"b": 2, "a": 1}) != variant_key({"a": 1, "b": 3})


@pytest.mark.skipif(os.name != "posix", reason="limits the size of files")
def test_a_full_disk_is_one_line_and_what_was_finished_stays(tmp_path: Path) -> None:
    file = tmp_path / "journal.jsonl"
    code = (
        "import resource, sys; from pathlib import Path; from emulab.errors import ToolError;"
        "from emulab.sweep.journal import Journal; resource.setrlimit(resource.RLIMIT_FSIZE, (500, 500));"
        "journal = Journal(Path(sys.argv[1]), 'id', resume=False)\n"
        "try:\n  for i in range(100): journal.add(f'k{i}', {'x': i})\n"
        "except ToolError as error: print(error)\n"
        "journal.close()"
    )
    done = subprocess.run([sys.executable, "-c", code, str(file)], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{file}: cannot be written: File too large; free some room, then --resume\n"
    again = Journal(file, "id", resume=True)
    assert 5 < len(again.rows) < 100 and list(again.rows) == [f"k{i}" for i in range(len(again.rows))]
    again.close()
