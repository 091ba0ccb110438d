"""Which metrics are shown, in which order and under which title: one table for terminal, HTML, Markdown, CSV."""

from __future__ import annotations

import re

from emulab.model.quantity import Quantity
from emulab.model.record import ExpectationResult, Result, RunRecord
from emulab.report.units import show

TITLES: dict[str, str] = {
    "latency_s": "latency",
    "cycles": "cycles",
    "instructions": "instructions",
    "energy_per_inference_j": "energy / inference",
    "power_w": "power",
    "front_end_s": "front end",
    "real_time_margin": "real-time margin",
    "mean_power_w": "mean power over the recording",
    "busy_share": "time awake",
    "missed_steps": "steps missed",
    "false_reject_rate": "wake words missed",
    "false_accepts_per_s": "false accepts",
    "detection_delay_s": "detected after the word's end",
    "flash_bytes": "flash",
    "flash_deflated_bytes": "flash, deflated",
    "ram_bytes": "RAM",
    "arena_bytes": "arena",
    "stack_bytes": "stack",
    "stack_bound_bytes": "stack, at most",
    "accuracy_top1": "accuracy",
    "accuracy_top1_golden": "accuracy, float",
    "auc": "AUC",
    "auc_golden": "AUC, float",
    "agreement_host": "agrees with host",
    "battery_life_s": "battery life",
    "mean_current_a": "mean current",
    "application_energy_per_wake_j": "application, per wake",
    "application_mean_current_a": "application, mean current",
    "application_battery_life_s": "application, battery life",
    "stall_share": "waiting for memory",
}


def title(metric: str) -> str:
    """A metric's column title; unknown metrics keep their own name."""
    return TITLES.get(metric, metric)


def ordered(metrics: set[str]) -> list[str]:
    """Known metrics in table order, then the rest by name; levels of noise (``metric@kind=level``) have their own."""
    return [m for m in TITLES if m in metrics] + sorted(m for m in metrics - TITLES.keys() if "@" not in m)


def board(result: Result) -> str:
    """The platform of a result, with the model where there are several: enough where the backend says nothing."""
    return "/".join(filter(None, (result.platform, result.variant)))


_BOUND = re.compile(r"(min|max) (\S+)( \S+)?")


def expectation_bound(record: RunRecord, item: ExpectationResult) -> str:
    """What was asked, a limit in the unit its metric is shown in: ``min 80.0 %`` for ``min 0.8`` of an accuracy."""
    limit = _BOUND.fullmatch(item.bound) if item.of == "limit" else None
    for result in record.results if limit else ():
        found = result.metrics.get(item.metric)
        if limit and found is not None and result.label == item.target:
            return f"{limit[1]} {show(item.metric, Quantity(value=float(limit[2]), unit=found.unit))}"
    return item.bound


def expectation_value(record: RunRecord, item: ExpectationResult) -> str:
    """The value of an expectation in the unit its metric has in the record; a dash where there is none."""
    if item.value is None:
        return "–"
    for result in record.results:
        found = result.metrics.get(item.metric)
        if found is not None and result.label == item.target:
            return show(item.metric, found)
    return show(item.metric, Quantity(value=item.value))
