"""Schema of a stream: samples through an audio front end into a model, and what counts as a detection."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from emulab.model.base import Schema


class Detection(Schema):
    """The mean of the last ``average`` scores is above ``threshold``; after that none counts for ``refractory_s``."""

    output: int = Field(default=0, ge=0, description="which of the model's outputs is the score")
    threshold: float = Field(ge=0, le=1, description="in the model's own real values")
    average: int = Field(default=1, ge=1, le=64, description="scores averaged")
    refractory_s: float = Field(default=1.0, ge=0, le=60)


class Recording(Schema):
    """A WAV file (16 kHz, 16 bit; of several channels the first) and where its wake words are.

    A ``.json`` names a list of the benchmark's runner, which says both.
    """

    path: str
    wake_words: list[tuple[float, float]] = Field(default=[], description="start and end of each, seconds")

    @model_validator(mode="after")
    def _check(self) -> Recording:
        if any(not 0 <= start <= stop for start, stop in self.wake_words):
            raise ValueError("wake_words: expected [start, end] in seconds, the end not before the start")
        return self


class Stream(Schema):
    """How the device listens. Without recordings that are here, seeded synthetic sound without wake words is played."""

    front_end: Literal["lfbe", "micro"] = Field(
        description="lfbe: MLPerf Tiny's log-mel energies; micro: microWakeWord's"
    )
    detection: Detection
    recordings: list[Recording] = []
    emulate_s: float = Field(default=10.0, gt=0, le=3600, description="how much of the first recording the board hears")
    late_s: float = Field(
        default=2.0, ge=0, description="how long after a wake word a detection still counts as its own"
    )
