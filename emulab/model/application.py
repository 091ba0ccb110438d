"""Schema of a scenario's application: firmware of one's own, run with the parts on its buses, its energy as it runs."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from emulab.model.base import Schema


class Application(Schema):
    """Firmware that does the node's whole work, beside the DUT firmware that only answers what inference costs.

    It is built from ``sources`` and the workload's model, and run on the embedded machine with ``parts`` on its buses
    (docs/cosimulation.md). ``windows`` are the phases it marks with ``EMULAB_WINDOW_BEGIN`` and ``END``; the first one
    happens once per wake.
    """

    sources: list[str] = Field(min_length=1, description="C files, relative to the scenario")
    platforms: list[str] = Field(min_length=1, description="the platforms its drivers and pins are for")
    parts: dict[str, dict[str, Any]] = Field(
        default={}, description="name -> {part, bus, ...}: what is on the buses, besides the board's own parts"
    )
    wiring: dict[str, dict[str, dict[str, Any]]] = Field(
        default={},
        description="platform -> part -> {bus, select, interrupt, ...}: how parts are connected there; others are not fitted",
    )
    windows: list[str] = Field(min_length=1, description="windows it marks; the first one happens once per wake")
    duration_s: float = Field(default=3600.0, gt=0, description="time the figures are for; repeated cycles are skipped")
    repeats_s: float = Field(
        default=0.0, ge=0, description="least time after which firmware and its surroundings repeat themselves"
    )

    @model_validator(mode="after")
    def _wired(self) -> Application:
        for platform, wires in self.wiring.items():
            if platform not in self.platforms:
                raise ValueError(f"wiring.{platform}: not one of application.platforms ({', '.join(self.platforms)})")
            unknown = sorted(set(wires) - set(self.parts))
            if unknown:
                raise ValueError(
                    f"wiring.{platform}.{unknown[0]}: no such part; parts: {', '.join(self.parts) or 'none'}"
                )
        return self

    def parts_on(self, platform: str) -> dict[str, dict[str, Any]]:
        """The parts as they are connected on *platform*."""
        wires = self.wiring.get(platform)
        if wires is None:
            return self.parts
        return {name: {**self.parts[name], **own} for name, own in wires.items()}
