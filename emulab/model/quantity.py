"""Quantity: a value with unit, uncertainty and source.

Inside emulab every value is SI; the unit is written out so that a record can be read without the code.
"""

from __future__ import annotations

import math
from typing import Literal

from pydantic import Field, model_validator

from emulab.model.base import Schema

Source = Literal["measured", "emulated", "modelled", "datasheet", "assumed", "recorded"]
"""Where a value comes from. ``emulated``: counted exactly; ``modelled``: computed by a timing or energy model;
``recorded``: taken over from a model card or an earlier run."""

UNITS = {
    "s",
    "Hz",
    "A",
    "V",
    "W",
    "J",
    "C",
    "F",
    "ohm",
    "B",
    "cycle",
    "instruction",
    "1",
    "K",
    "degC",
    "A/Hz",
    "1/s",
}


class Quantity(Schema):
    """A number that says what it is.

    ``value`` is None only where the metric is unavailable; ``reason`` then says why.
    """

    value: float | None
    unit: str = "1"
    kind: Source = "modelled"
    uncertainty: float | None = Field(default=None, ge=0, description="one standard deviation, same unit")
    source: str = Field(default="", description="document and table, published measurement, or model that computed it")
    reason: str = Field(default="", description="why there is no value")

    @model_validator(mode="after")
    def _check(self) -> Quantity:
        if self.unit not in UNITS:
            raise ValueError(f"unknown unit {self.unit!r}; expected one of {', '.join(sorted(UNITS))}")
        if self.value is None and not self.reason:
            raise ValueError("a quantity without a value needs a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError("value must be finite")
        return self


class PhysicalNumber(Schema):
    """A number in a platform file: SI value with its source, or said to be assumed."""

    value: float
    unit: str = "1"
    source: str = ""
    assumed: bool = False
    uncertainty: float | None = Field(default=None, ge=0, description="one standard deviation, same unit")

    @model_validator(mode="after")
    def _check(self) -> PhysicalNumber:
        if self.unit not in UNITS:
            raise ValueError(f"unknown unit {self.unit!r}; expected one of {', '.join(sorted(UNITS))}")
        if not self.source and not self.assumed:
            raise ValueError("needs `source:` (document and table) or `assumed: true`")
        return self


def unavailable(unit: str, reason: str) -> Quantity:
    """A metric that could not be had, and why."""
    return Quantity(value=None, unit=unit, kind="modelled", reason=reason)
