"""Schema of a duty cycle: what a node does, over and over, what interrupts it, and the battery it does it from.

A cycle is one job: wake up, the phases in order, back to sleep. Events are further jobs, at random or recorded times.
A job that comes while another runs waits for its turn.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, model_validator

from emulab.model.base import Schema
from emulab.model.power import Regulator

RESERVED_PHASES = ("sleep", "wake-up")
"""What the time between jobs, and before the first phase, is called in results."""


class ResultCondition(Schema):
    """True when the last run of ``window`` gave ``result`` (see ``DutyCycle.results``)."""

    window: str
    result: str


class Condition(Schema):
    """When a phase happens. All that is given must hold."""

    probability: float | None = Field(default=None, ge=0, le=1, description="drawn anew each time")
    every: int | None = Field(default=None, ge=1, description="in every N-th cycle, the first included")
    offset: int = Field(default=0, ge=0, description="first cycle of `every`")
    result: ResultCondition | None = None

    @model_validator(mode="after")
    def _check(self) -> Condition:
        if self.probability is None and self.every is None and self.result is None:
            raise ValueError("give at least one of probability, every, result")
        if self.every is not None and self.offset >= self.every:
            raise ValueError("offset must be below every")
        return self


class Retry(Schema):
    """A phase that may fail and is then tried again."""

    probability: float = Field(ge=0, lt=1, description="that one attempt fails")
    limit: int = Field(default=3, ge=1, le=64, description="attempts in all")
    delay_s: float = Field(default=0.0, ge=0, description="wait before another attempt, the MCU as `state` says")
    state: str = Field(default="", description="MCU mode during the wait; empty: as it is")


class Phase(Schema):
    """One phase. Exactly one of ``run``, ``use``, ``state``, ``parallel`` or a bare ``duration_s`` says what happens.

    - ``run``: a window of the scenario, ``count`` times, at its measured or emulated latency and energy; with
      ``duration_s`` that time is assumed where the window was not measured;
    - ``use``: a component (``uart``) or one of its uses (``radio.advertise``), for ``duration_s``,
      ``bytes`` or ``samples``;
    - ``state``: the MCU in that mode for ``duration_s``;
    - ``parallel``: phases at the same time; it ends with the longest.
    """

    name: str
    run: str | None = Field(default=None, description="a window of this scenario, e.g. `inference`")
    count: int = Field(default=1, ge=0)
    use: str | None = Field(default=None, description="a component or part, or COMPONENT.USE")
    state: str | None = Field(default=None, description="MCU power mode for the phase, e.g. stop2")
    parallel: list[Phase] = []
    duration_s: float | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    samples: int | None = Field(default=None, ge=0)
    states: dict[str, str] = Field(
        default={}, description="state of further components during the phase; `deepest`: the MCU's sleep between jobs"
    )
    when: Condition | None = None
    retry: Retry | None = None

    @model_validator(mode="after")
    def _check(self) -> Phase:
        kinds = [k for k in ("run", "use", "state", "parallel") if getattr(self, k)]
        if len(kinds) > 1:
            raise ValueError(f"phase {self.name!r}: give one of run, use, state, parallel, not {' and '.join(kinds)}")
        if not kinds and self.duration_s is None:
            raise ValueError(f"phase {self.name!r}: give one of run, use, state, parallel or duration_s")
        if "state" in kinds and self.duration_s is None:
            raise ValueError(f"phase {self.name!r}: a state needs duration_s")
        if kinds == ["parallel"] and self.duration_s is not None:
            raise ValueError(f"phase {self.name!r}: the duration of parallel follows from what it does; no duration_s")
        if "use" not in kinds and (self.bytes is not None or self.samples is not None):
            raise ValueError(f"phase {self.name!r}: bytes and samples need `use`")
        amounts = [k for k in ("duration_s", "bytes", "samples") if getattr(self, k) is not None]
        if "use" in kinds and len(amounts) > 1:
            raise ValueError(f"phase {self.name!r}: give one of {' and '.join(amounts)}")
        return self


class EventSource(Schema):
    """Jobs that come by themselves: at random (``rate_per_s``) or at recorded times (``times_s``, a ``trace`` file)."""

    name: str
    rate_per_s: float | None = Field(default=None, gt=0, description="of a Poisson process")
    times_s: list[float] = Field(default=[], description="recorded times; repeated after repeat_s if given")
    trace: str | None = Field(default=None, description="file with one time in seconds per line")
    repeat_s: float | None = Field(default=None, gt=0)
    phases: list[Phase] = Field(min_length=1)

    @model_validator(mode="after")
    def _check(self) -> EventSource:
        given = [k for k in ("rate_per_s", "times_s", "trace") if getattr(self, k)]
        if len(given) != 1:
            raise ValueError(f"event {self.name!r}: give exactly one of rate_per_s, times_s, trace")
        if self.times_s != sorted(self.times_s) or (self.times_s and self.times_s[0] < 0):
            raise ValueError(f"event {self.name!r}: times_s must rise from 0")
        if self.repeat_s is not None and self.times_s and self.times_s[-1] >= self.repeat_s:
            raise ValueError(f"event {self.name!r}: repeat_s must be above the last time")
        return self


class Watchdog(Schema):
    """Resets the node when one job takes longer than ``timeout_s``; a job hangs with ``hang_probability``."""

    timeout_s: float = Field(gt=0)
    hang_probability: float = Field(default=0.0, ge=0, lt=1)
    restart: list[Phase] = Field(default=[], description="what the node does after a reset, before it sleeps")


class Battery(Schema):
    """The energy store."""

    type: str = Field(description="a part such as cr2032, lipo-500, aa-lithium, supercap-1f, or `custom`")
    parameters: dict[str, Any] = Field(default={}, description="keys of the cell to replace; all of a custom one")
    temperature_degc: float = Field(default=25.0, ge=-60, le=125)
    series: int = Field(default=1, ge=1)
    parallel: int = Field(default=1, ge=1)
    regulator: Regulator | None = Field(default=None, description="between battery and board; none: direct")


class HarvestPoint(Schema):
    """Current into the store from ``time_s`` of the profile's period on."""

    time_s: float = Field(ge=0)
    current_a: float = Field(ge=0)


class Harvest(Schema):
    """A harvester as the current it delivers into the store: constant, solar (half sine by day) or recorded."""

    kind: Literal["constant", "solar", "profile"]
    current_a: float = Field(default=0.0, ge=0, description="constant current, or the peak at noon")
    day_s: float = Field(default=43200.0, gt=0, le=86400, description="of a solar profile: length of the day")
    profile: list[HarvestPoint] = []
    period_s: float = Field(default=86400.0, gt=0)
    efficiency: float = Field(default=1.0, gt=0, le=1, description="of the charger")

    @model_validator(mode="after")
    def _check(self) -> Harvest:
        times = [point.time_s for point in self.profile]
        if self.kind == "profile" and (not times or times[0] != 0 or times != sorted(set(times))):
            raise ValueError("a profile needs points of rising time_s from 0")
        if self.kind == "profile" and times[-1] >= self.period_s:
            raise ValueError("period_s must be above the last time of the profile")
        if self.kind != "profile" and self.current_a <= 0:
            raise ValueError(f"a {self.kind} harvester needs current_a above 0")
        return self


class DutyCycle(Schema):
    """A periodic node: phases in order, then the sleep state until the period is over."""

    period_s: float = Field(gt=0)
    jitter_s: float = Field(default=0.0, ge=0, description="each start moves by up to this much, evenly, either way")
    phases: list[Phase]
    sleep: str = Field(default="", description="MCU power mode between jobs; empty: the platform's sleep_state")
    states: dict[str, str] = Field(default={}, description="state of further components all the time")
    parts: dict[str, str] = Field(
        default={}, description="name -> part of platforms/parts/ the node has besides the board"
    )
    results: dict[str, dict[str, float]] = Field(
        default={}, description="window -> probability of each result, where nothing better is known"
    )
    events: list[EventSource] = []
    watchdog: Watchdog | None = None
    battery: Battery | None = None
    harvest: Harvest | None = None
    clock_hz: float | None = Field(default=None, gt=0, le=1e10, description="core clock; default: the board's")

    @model_validator(mode="after")
    def _check(self) -> DutyCycle:
        if self.jitter_s * 2 > self.period_s:
            raise ValueError("jitter_s must be at most half the period")
        if self.harvest is not None and self.battery is None:
            raise ValueError("a harvest needs a battery to go into")
        names = [phase.name for phase in self.phases] + [event.name for event in self.events]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two phases or events are called {twice[0]!r}")
        phases = [*self.phases, *(phase for event in self.events for phase in event.phases)]
        taken = next((phase.name for phase in phases if phase.name in RESERVED_PHASES), None)
        if taken is not None:
            raise ValueError(f"a phase cannot be called {taken!r}: results call the time between phases so")
        for window, results in self.results.items():
            if abs(sum(results.values()) - 1) > 1e-9 or any(p < 0 for p in results.values()):
                raise ValueError(f"results.{window}: probabilities must be at least 0 and sum to 1")
        return self
