"""Names of the metrics that a run can give, so that a misspelt expectation is told before anything runs."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection

METRICS: dict[str, str] = {
    "latency_s": "time of one inference",
    "energy_mode_latency_s": "the same in energy mode, of published results",
    "cycles": "core cycles per inference",
    "instructions": "instructions per inference",
    "stall_share": "part of the cycles spent waiting for memory",
    "energy_per_inference_j": "energy of one inference",
    "power_w": "mean power during inference",
    "front_end_s": "time of the features of one step",
    "real_time_margin": "time there is for a step over the time it takes",
    "mean_power_w": "mean power over a recording",
    "busy_share": "part of the time awake",
    "missed_steps": "steps of a recording that came too late",
    "false_reject_rate": "part of the wake words missed",
    "false_accepts_per_s": "detections without a wake word, per second",
    "detection_delay_s": "from the end of a word to its detection",
    "flash_bytes": "flash of the image",
    "flash_deflated_bytes": "the same compressed, as an update is sent",
    "ram_bytes": "RAM for data, without the stack",
    "ram_used_bytes": "RAM seen in use",
    "arena_bytes": "buffers of the model",
    "stack_bytes": "stack seen in use",
    "stack_bound_bytes": "stack at most, by analysis",
    "accuracy_top1": "part of the samples that are classified right",
    "accuracy_top1_golden": "the same of the float model",
    "auc": "area under the curve of an anomaly detector",
    "auc_golden": "the same of the float model",
    "agreement_host": "part of the samples that the device answers as the host does",
    "battery_life_s": "of the duty cycle",
    "mean_current_a": "of the duty cycle",
    "application_energy_per_wake_j": "of the firmware that does the node's whole work",
    "application_mean_current_a": "of the same",
    "application_battery_life_s": "of the same",
}
"""Name -> what it is. Names of others (a third party's backend) have a colon: ``vendor:name``."""

UNDER_NOISE = ("accuracy_top1", "accuracy_top1_golden", "auc", "auc_golden", "wake_words_found")
"""Metrics that are also given per level of a disturbance, ``metric@kind=level``."""


def unknown_metric(name: str, kinds: Collection[str]) -> str:
    """What is wrong with the metric *name*, with the closest valid one; empty where nothing is.

    *kinds* are the disturbances of ``metric@kind=level``.
    """
    base, at, level = name.partition("@")
    if ":" in base and not at:
        return ""
    known: Collection[str] = METRICS
    if at:
        known = UNDER_NOISE
    if base not in known:
        return f"unknown metric {base!r}{' under noise' if at else ''}; {_hint(base, known)}"
    if not at:
        return ""
    kind, _, value = level.partition("=")
    if kind not in kinds:
        return f"metric {name!r}: unknown disturbance {kind!r}; {_hint(kind, kinds)}"
    if not re.fullmatch(r"-?[0-9.]+(e-?[0-9]+)?", value):
        return f"metric {name!r}: expected {base}@{kind}=LEVEL with a number, e.g. {base}@{kind}=10"
    return ""


def _hint(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    if not close:
        close = [name for name in known if word and name.startswith(word)][:1]
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(known)}"
