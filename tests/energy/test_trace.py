"""Traces: bounded memory, exact totals, CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.energy.trace import CSV_HEADER, BucketTrace, write_csv, write_parquet


def filled() -> BucketTrace:
    trace = BucketTrace(1e-3, 64)
    time = 0.0
    for index in range(1000):
        trace.add(time, time + 1e-3, 10e-3 if index % 10 == 0 else 1e-6)
        time += 1e-3
    return trace


def test_a_trace_stays_small_and_exact() -> None:
    trace = filled()
    time, mean, low, high = trace.arrays()
    assert len(time) <= 64
    assert trace.charge_c == pytest.approx(100 * 10e-3 * 1e-3 + 900 * 1e-6 * 1e-3, rel=1e-12)
    assert high.max() == 10e-3
    assert low.min() == 1e-6
    assert (low <= mean).all() and (mean <= high).all()


def test_csv_and_parquet_hold_the_same(tmp_path: Path) -> None:
    trace = filled().current_trace(3.0)
    lines = write_csv(trace, tmp_path / "t.csv").read_text().splitlines()
    assert lines[0] == CSV_HEADER
    assert len(lines) == 1 + len(trace.mean_a)
    parquet = pytest.importorskip("pyarrow.parquet", reason="pip install pyarrow")
    table = parquet.read_table(write_parquet(trace, tmp_path / "t.parquet"))
    assert table.column_names == lines[0].split(",")
    assert table["Current(uA)"][3].as_py() == pytest.approx(float(lines[4].split(",")[1]), rel=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["t.csv", "t.parquet"]
