"""What stands between samples and model, in firmware: a window of its own in the run, and its part of the latency."""

from __future__ import annotations

from typing import TYPE_CHECKING

from emulab.model.quantity import Quantity

if TYPE_CHECKING:
    from emulab.model.record import Result
    from emulab.model.scenario import Measure

FRONT_END_WINDOW = "front_end"
"""The firmware's markers of that name."""


def front_end_measure(measure: Measure) -> Measure:
    """*measure* with the front end's own window."""
    from emulab.model.scenario import Window

    begin, end = (f"marker:{FRONT_END_WINDOW}.{edge}" for edge in ("begin", "end"))
    window = Window.model_validate({"name": FRONT_END_WINDOW, "from": begin, "to": end})
    return measure.model_copy(update={"windows": [*measure.windows, window]})


def front_end_time(result: Result, times: int = 1, source: str = "median over its windows") -> Quantity | None:
    """Seconds per inference in the front end, which runs *times* for each; None where no window shows it."""
    import statistics

    found = [w.stop_s - w.start_s for w in result.windows if w.name == FRONT_END_WINDOW and w.cycles]
    if not found:
        return None
    return Quantity(value=statistics.median(found) * times, unit="s", kind="modelled", source=source)
