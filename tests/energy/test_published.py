"""Energy of published submissions from measured latency: constant power, and power that follows activity.

For every ST submission on STM32L4R5 and STM32U575 with kws and another result: the scale is fitted on the submission's
kws row, the share of multiply-accumulates on a kws power trace (see platforms/power/stm32u575.yaml), nothing else.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from emulab.compare import fidelity_energy as energy
from emulab.errors import InputError

RESULTS = Path(os.environ.get("EMULAB_ASSETS", ""), "published", "mlperf_tiny_results.csv")
BLIND = ["model=vww", "model=sww", "round=v1.2,board=*L4R5*", "round=v1.3,board=*L4R5*,model=ic"]
"""Rows kept apart for a check that nobody has seen."""


@pytest.mark.skipif(not RESULTS.is_file(), reason="needs the published results: set EMULAB_ASSETS")
def test_activity_beats_constant_power() -> None:
    """Mean error over all rows: at least a quarter below that of constant power."""
    rows = energy.from_measured(energy.read_published(RESULTS, [energy.parse_filter(text) for text in BLIND]))
    print("\n" + energy.markdown(rows, []))
    assert len(rows) >= 17
    assert energy.mean(row.active for row in rows) <= 0.75 * energy.mean(row.constant for row in rows)


HEADER = "round,submitter,system_id,board,model,latency_ms_median,energy_uJ_per_inf_median,"
HEADER += "energy_mode_latency_ms_median,energy_uJ_corrected\n"


def results(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "results.csv"
    file.write_text(HEADER + "".join(f"v1,STMicroelectronics,U575,NUCLEO-U575,{row}\n" for row in rows))
    return file


def test_rows_are_chosen_and_corrected(tmp_path: Path) -> None:
    """kws sets the scale; a row without energy or of another submitter does not count; a corrected one takes its own
    latency; patterns leave rows out."""
    file = results(tmp_path, "kws,10,100,20,", "ad,1,30,2,15", "ic,40,,,", "vww,5,5,5,")
    with open(file, "a") as stream:
        stream.write("v1,another,U575,NUCLEO-U575,ic,40,400,40,\n")
    found = energy.read_published(file)
    assert set(found) == {("v1", "U575")}
    assert set(found["v1", "U575"]) == {"kws", "ad"}
    (row,) = energy.from_measured(found)
    assert row.latency_s == 1e-3
    assert row.constant == pytest.approx(5.0 * 1e-3 / 15e-3 - 1)  # kws draws 100 uJ in 20 ms: 5 mW
    assert energy.read_published(file, [energy.parse_filter("round=v*,model=a?")]) == {}


def test_more_work_per_cycle_takes_more_energy(tmp_path: Path) -> None:
    """An emulated row with more multiply-accumulates per cycle than the scale's is charged more than constant power."""
    found = energy.read_published(results(tmp_path, "kws,10,100,20,", "ad,1,30,2,"))
    rows = energy.from_emulated(found, {("v1", "U575"): {"ad": (2e-3, 0.5), "kws": (20e-3, 0.3)}})
    ad, kws = rows
    assert kws.constant == pytest.approx(0) and kws.active == pytest.approx(0)
    assert ad.active > ad.constant
    assert "## Energy from emulated latency" in energy.markdown(energy.from_measured(found), rows)


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    assert energy.main(["--published", str(file)]) == 2
    assert energy.main(["--published", str(tmp_path / "absent.csv")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "expected a CSV with the columns" in lines[0] and "cannot be read" in lines[1]
    with pytest.raises(InputError, match="COLUMN=PATTERN"):
        energy.parse_filter("vww")
