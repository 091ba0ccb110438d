"""Energy of published submissions from measured latency: constant power, and power that follows activity.

For every ST submission on STM32L4R5 and STM32U575 with kws and another result: the scale is fitted on the submission's
kws row, the share of multiply-accumulates on a kws power trace (see platforms/power/stm32u575.yaml), nothing else.
"""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import pytest
import yaml

from emulab.model.power import Power

ASSETS = os.environ.get("EMULAB_ASSETS", "")
POWER = Path(__file__).parents[2] / "platforms" / "power"

pytestmark = pytest.mark.skipif(
    not Path(ASSETS, "published", "mlperf_tiny_results.csv").is_file(),
    reason="needs the published results: set EMULAB_ASSETS",
)


def held_out(row: dict[str, str]) -> bool:
    board = row["board"] + row["system_id"]
    return (
        row["model"] not in ("kws", "ad", "ic")
        or ("L4R5" in board and row["round"] == "v1.2")
        or ("L4R5" in board and row["round"] == "v1.3" and row["model"] == "ic")
    )


def submissions() -> dict[tuple[str, str], dict[str, tuple[float, float]]]:
    """(round, system) -> model -> (energy in uJ, latency of the energy run in ms), where kws is among them."""
    found: dict[tuple[str, str], dict[str, tuple[float, float]]] = {}
    with open(Path(ASSETS, "published", "mlperf_tiny_results.csv"), encoding="utf-8") as file:
        for row in csv.DictReader(file):
            board = row["board"] + row["system_id"]
            if row["submitter"] != "STMicroelectronics" or not ("L4R5" in board or "U575" in board) or held_out(row):
                continue
            if not row["energy_uJ_per_inf_median"]:
                continue
            energy, latency = float(row["energy_uJ_per_inf_median"]), float(row["energy_mode_latency_ms_median"])
            if row["energy_uJ_corrected"]:
                # the published windows were inverted; this is the trace integrated over the inference windows
                energy, latency = float(row["energy_uJ_corrected"]), float(row["latency_ms_median"])
            found.setdefault((row["round"], row["system_id"]), {})[row["model"]] = (energy, latency)
    return {key: rows for key, rows in found.items() if "kws" in rows and len(rows) > 1}


def run_charge_per_cycle(file: str, mac_per_cycle: float) -> float:
    """Charge of one cycle of the run state, in coulomb."""
    layers: dict[str, Any] = yaml.safe_load((POWER / file).read_text())
    run = Power.model_validate(layers["power"]).components["core"].states["run"]
    assert run.per_hz_a is not None
    return run.per_hz_a.value + run.per_activity["mac"].value * mac_per_cycle


def test_activity_beats_constant_power() -> None:
    """Mean error over all rows: at least a quarter below that of constant power."""
    mac = yaml.safe_load((Path(__file__).parent / "published_activity.yaml").read_text())["mac_per_cycle"]
    constant, active = [], []
    print()
    for (round_, system), rows in sorted(submissions().items()):
        file = "stm32u575.yaml" if "U575" in system else "stm32l4r5.yaml"
        power_mw = rows["kws"][0] / rows["kws"][1]
        for model in ("ad", "ic"):
            if model not in rows:
                continue
            energy, latency = rows[model]
            ratio = run_charge_per_cycle(file, mac[model]) / run_charge_per_cycle(file, mac["kws"])
            constant.append(power_mw * latency / energy - 1)
            active.append(power_mw * ratio * latency / energy - 1)
            print(f"{round_} {system:18s} {model} {energy:9.1f} uJ  {constant[-1]:+6.1%}  {active[-1]:+6.1%}")
    mean_constant = sum(map(abs, constant)) / len(constant)
    mean_active = sum(map(abs, active)) / len(active)
    print(f"{len(constant)} rows: constant power {mean_constant:.2%}, with activity {mean_active:.2%}")
    assert len(constant) >= 17
    assert mean_active <= 0.75 * mean_constant
