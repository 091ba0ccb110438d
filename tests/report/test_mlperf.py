"""The MLPerf submission tree: the lines that the consortium's checker looks for, with its own patterns."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest

from emulab.backends.base import CurrentTrace
from emulab.energy.trace import write_csv
from emulab.errors import InputError
from emulab.lab.captures import read_recording
from emulab.model.quantity import Quantity, unavailable
from emulab.model.record import Provenance, Result, RunRecord, WindowRecord, write_text
from emulab.report.mlperf import write_submission


def record(backend="hardware", model="kws01", energy=True, quality=None, windows=5, length_s=10.9):
    metric = "auc" if model == "ad01" else "accuracy_top1"
    result = Result(
        platform="nucleo-l4r5zi-p",
        backend=backend,
        status="passed",
        metrics={metric: quality or Quantity(value=0.9012), "latency_s": Quantity(value=0.0436, unit="s")},
        windows=[
            WindowRecord(
                name="inference",
                index=i,
                start_s=i * (length_s + 2),
                stop_s=i * (length_s + 2) + length_s,
                inferences=250,
                energy_j=0.3578 if energy else None,
            )
            for i in range(windows)
        ],
        artifacts={"console": "console.log", "energy_trace": "trace.csv"},
        details={"outputs": {"a.bin": [0.1, 0.9]}, "results": [0.1, 0.9]},
        firmware_sha256="ab" * 32,
    )
    provenance = Provenance(emulab="0.1.0", started_at="2026-03-04T05:06:07+00:00", tools={"unicorn": "2.1.4"})
    scenario = {"name": "kws", "workload": {"name": "kws", "mlperf_id": model}}
    return RunRecord(scenario=scenario, provenance=provenance, results=[result])


def test_tree_and_the_checkers_patterns(tmp_path):
    write_text(tmp_path / "console.log", "0.1 > name%\n0.2 < m-ready\n")
    files = write_submission(record(), tmp_path, tmp_path / "sub", "acme")
    base = tmp_path / "sub" / "closed" / "acme"
    place = base / "results" / "nucleo-l4r5zi-p" / "kws"
    for part in ("performance", "accuracy", "energy"):
        assert {f.name for f in (place / part).iterdir()} == {"log.txt", "results.txt", "results.json"}
        json.loads((place / part / "results.json").read_text())
    assert len(files) == 11
    perf = (place / "performance" / "results.txt").read_text().splitlines()
    found = [m[1] for line in perf if (m := re.match(r".* Median throughput is\s+([\d\.]+) inf\./sec\..*", line))]
    assert [float(x) for x in found] == [pytest.approx(250 / 10.9, abs=1e-3)]
    energy = (place / "energy" / "results.txt").read_text()
    match = re.search(r"Median energy cost is ([\d\.]+) uJ/inf", energy)
    assert match and float(match[1]) == pytest.approx(1431.2)
    accuracy = (place / "accuracy" / "results.txt").read_text().splitlines()
    tops = [m[1] for line in accuracy if (m := re.match(r".* Top[- ]1%?\s?[:=] ([\d\.]+).*", line))]
    assert tops == ["90.1"]
    assert all(line.startswith("0304.050607 ulp-mlperf: ") for line in perf)
    assert json.loads((base / "systems" / "nucleo-l4r5zi-p.json").read_text())["Status"] == "available"
    assert "name%" in (place / "performance" / "log.txt").read_text()


def test_auc_and_short_windows(tmp_path):
    write_submission(record(model="ad01", energy=False, windows=2, length_s=0.2), tmp_path, tmp_path / "s", "acme")
    place = tmp_path / "s" / "closed" / "acme" / "results" / "nucleo-l4r5zi-p" / "ad"
    assert re.search(r" AUC\s?[:=] 0.901", (place / "accuracy" / "results.txt").read_text())
    text = (place / "performance" / "results.txt").read_text()
    assert "2 windows, the rules ask for 5" in text
    assert "shorter than 10 s" in text
    assert not (place / "energy").exists()


def test_emulated_results_say_so(tmp_path):
    write_submission(record(backend="unicorn"), tmp_path, tmp_path / "s", "acme")
    system = json.loads((tmp_path / "s" / "open" / "acme" / "systems" / "nucleo-l4r5zi-p-unicorn.json").read_text())
    assert system["Status"] == "rdi"
    assert "emulated" in system["Hardware Notes"]


def test_energy_json_reads_back_as_a_recording(tmp_path):
    write_csv(CurrentTrace(0.0, 1e-3, np.full(70_000, 0.010942)), tmp_path / "trace.csv")
    write_submission(record(), tmp_path, tmp_path / "s", "acme")
    file = next((tmp_path / "s").rglob("energy/results.json"))
    session = read_recording(file)
    assert session.reported["energy_per_inference_j"] == pytest.approx(1431.2e-6)
    window = session.windows[0]
    assert session.capture is not None
    energy = session.capture.energy(window.start_s, window.stop_s).energy_j / window.inferences
    assert energy == pytest.approx(1431.2e-6, rel=1e-3)
    assert window.latency_s == pytest.approx(10.9 / 250, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"model": "har"}, "none of the benchmark's"),
        ({"quality": unavailable("1", "no inputs")}, "no accuracy_top1: no inputs"),
        ({"windows": 0}, "no windows"),
    ],
)
def test_what_is_missing_is_said_and_nothing_is_written(tmp_path, change, match):
    with pytest.raises(InputError, match=match):
        write_submission(record(**change), tmp_path, tmp_path / "s", "acme")
    assert not (tmp_path / "s").exists()


def test_submitter_cannot_leave_its_folder(tmp_path):
    with pytest.raises(InputError, match="--submitter"):
        write_submission(record(), tmp_path, tmp_path / "s", "../evil")
