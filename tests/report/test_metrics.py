"""The names of metrics: what reports show and runs give can be asked for."""

from __future__ import annotations

import re
from pathlib import Path

import emulab
from emulab.model.metrics import METRICS
from emulab.report.metrics import TITLES


def test_what_is_shown_can_be_asked_for() -> None:
    assert set(TITLES) <= set(METRICS)


def test_noise_of_a_stream_can_be_asked_for() -> None:
    from emulab.model.metrics import UNDER_NOISE
    from emulab.quality.stream_noise import METRIC

    assert METRIC in UNDER_NOISE


def test_what_a_run_gives_can_be_asked_for() -> None:
    """Names under which the run room stores quantities, as written in its source."""
    room = Path(emulab.__file__).parent / "run"
    text = "\n".join(file.read_text() for file in sorted(room.glob("*.py")))
    given = set(re.findall(r'metrics\["([a-z0-9_]+)"\] =', text))
    given |= set(re.findall(r'told\(\s*"([a-z0-9_]+)"', text))
    given |= set(re.findall(r'"([a-z0-9_]+)": (?:Quantity|unavailable)\(', text))
    given.discard("device")  # the accuracy of a device, on its way to the name that counts
    assert len(given) > 20 and given <= set(METRICS)
