"""Schema of a duty cycle: what a node does, over and over, and the battery it does it from."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from emulab.model.base import Schema


class Phase(Schema):
    """One phase of the cycle. Exactly one of ``run``, ``use`` or ``state`` says what happens."""

    name: str
    run: str | None = Field(default=None, description="a window of this scenario, e.g. `inference`")
    count: int = Field(default=1, ge=0)
    use: str | None = Field(default=None, description="a peripheral or part, for a time or an amount")
    state: str | None = Field(default=None, description="MCU power mode for the phase, e.g. stop2")
    duration_s: float | None = Field(default=None, ge=0)
    bytes: int | None = Field(default=None, ge=0)
    samples: int | None = Field(default=None, ge=0)
    states: dict[str, str] = Field(default={}, description="state of further components during the phase")


class Battery(Schema):
    """The energy store."""

    type: str = Field(description="a known type such as cr2032, or `custom`")
    parameters: dict[str, Any] = {}


class DutyCycle(Schema):
    """A periodic node: phases in order, then the sleep state until the period is over."""

    period_s: float = Field(gt=0)
    phases: list[Phase]
    sleep: str = Field(default="", description="MCU power mode between the phases")
    battery: Battery | None = None
