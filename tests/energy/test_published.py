"""Energy of published submissions from measured latency: constant power, and power that follows activity.

For every ST submission on STM32L4R5 and STM32U575 with kws and another result: the scale is fitted on the submission's
kws row, the prices of activity on kws power traces (see platforms/power/stm32u575.yaml), nothing else.
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
    own = [row for row in rows if row.counted]
    assert len(own) >= 5
    assert energy.mean(row.active for row in own) <= 0.5 * energy.mean(row.constant for row in own)


def test_energy_from_emulated_latency_is_within_six_percent() -> None:
    """The submitter's own energy-mode images, timed and counted in the embedded machine."""
    firmware, index = Path(os.environ.get("EMULAB_FIRMWARE", "-")), RESULTS.with_name("dut_firmware_index.csv")
    evaluation = RESULTS.parent.parent / "mlperf-tiny" / "eval"
    if not (RESULTS.is_file() and any(firmware.glob("*_energy.*"))):
        pytest.skip("needs EMULAB_FIRMWARE with energy-mode images of ST v1.2 and v1.3, and EMULAB_ASSETS")
    found = energy.read_published(RESULTS, [energy.parse_filter(text) for text in BLIND])
    inputs = {model: min((evaluation / f"{model}01").glob("*.bin")).read_bytes() for model in ("kws", "ic", "ad")}
    inputs["ad"] = inputs["ad"][:2560]
    rows = energy.from_emulated(found, energy.emulate(index, firmware, inputs, found))
    assert rows and all(row.counted for row in rows)
    for row in rows:
        assert abs(row.active) < 0.06, row
        counted = energy.COUNTED[row.row.round, row.row.system][row.row.model]
        assert set(counted) == {"mac", "ram_read", "ram_write", "flash_array_read"}


HEADER = "round,submitter,system_id,board,clock_mhz,model,latency_ms_median,energy_uJ_per_inf_median,"
HEADER += "energy_mode_latency_ms_median,energy_uJ_corrected\n"


def results(tmp_path: Path, *rows: str) -> Path:
    file = tmp_path / "results.csv"
    file.write_text(HEADER + "".join(f"v1,STMicroelectronics,U575,NUCLEO-U575,160,{row}\n" for row in rows))
    return file


def test_rows_are_chosen_and_corrected(tmp_path: Path) -> None:
    """kws sets the scale; a row without energy or of another submitter does not count; a corrected one takes its own
    latency; patterns leave rows out."""
    file = results(tmp_path, "kws,10,100,20,", "ad,1,30,2,15", "ic,40,,,", "vww,5,5,5,")
    with open(file, "a") as stream:
        stream.write("v1,another,U575,NUCLEO-U575,160,ic,40,400,40,\n")
    found = energy.read_published(file)
    assert set(found) == {("v1", "U575")}
    assert set(found["v1", "U575"]) == {"kws", "ad"}
    (row,) = energy.from_measured(found)
    assert row.latency_s == 1e-3
    assert row.constant == pytest.approx(5.0 * 1e-3 / 15e-3 - 1)  # kws draws 100 uJ in 20 ms: 5 mW
    assert energy.read_published(file, [energy.parse_filter("round=v*,model=a?")]) == {}


def test_more_work_per_cycle_takes_more_energy(tmp_path: Path) -> None:
    """An emulated row that does more per cycle than the scale's is charged more than constant power, by its prices."""
    found = energy.read_published(results(tmp_path, "kws,10,100,20,", "ad,1,30,2,"))
    quiet = {"mac": 0.3, "ram_read": 0.2, "ram_write": 0.1, "flash_array_read": 0.001}
    for event, more in (("mac", 0.2), ("ram_read", 0.2), ("flash_array_read", 0.03)):
        busy = quiet | {event: quiet[event] + more}
        ad, kws = energy.from_emulated(found, {("v1", "U575"): {"ad": (2e-3, busy), "kws": (20e-3, quiet)}})
        assert kws.constant == pytest.approx(0) and kws.active == pytest.approx(0)
        ratio = energy.charge_per_cycle_c("nucleo-u575zi-q", busy) / energy.charge_per_cycle_c("nucleo-u575zi-q", quiet)
        assert ratio > 1.005
        assert ad.active + 1 == pytest.approx((ad.constant + 1) * ratio, rel=1e-12)
    assert "## Energy from emulated latency" in energy.markdown(energy.from_measured(found), [ad, kws])


def test_builds_without_a_public_image_have_an_assumption(tmp_path: Path) -> None:
    """Density, count and traffic differ; a build with its own image counted is the same under each."""
    found = energy.read_published(results(tmp_path, "kws,10,100,40,", "ad,1,30,6,"))
    by = {name: energy.from_measured(found, name)[0] for name in energy.ASSUMPTIONS}
    assert len({row.active for row in by.values()}) == len(by)
    assert not any(row.counted for row in by.values())
    one = energy.Published("v1.3", "NUCLEO_U575ZI_Q", "ad", 77e-6, 3.2e-3, 160e6)
    assert {energy.rates_of(one, name) == (energy.COUNTED["v1.3", "NUCLEO_U575ZI_Q"]["ad"], True) for name in by} == {
        True
    }
    page = energy.markdown([by["density"]], [], {"count": [by["count"]]})
    assert energy.ASSUMPTIONS["density"] in page and energy.ASSUMPTIONS["count"] in page


def test_bad_input_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "other.csv"
    file.write_text("a,b\n1,2\n")
    assert energy.main(["--published", str(file)]) == 2
    assert energy.main(["--published", str(tmp_path / "absent.csv")]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and "expected a CSV with the columns" in lines[0] and "cannot be read" in lines[1]
    with pytest.raises(InputError, match="COLUMN=PATTERN"):
        energy.parse_filter("vww")
