"""Recorded bearing vibration as an evaluation set: a folder with ``index.csv`` and one .npz per recording.

``index.csv`` has the columns ``file``, ``fault`` (normal, B, IR, OR), ``diameter_mil`` and ``load_hp``; a file holds ``de``
(acceleration, 1-D), ``fs`` (Hz) and ``rpm``. This is the shape the Case Western Reserve University recordings are kept
in for development; they do not ship.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.quality.bearing import BINS, CONDITIONS, SAMPLE_RATE_HZ, WINDOW, envelope_orders
from emulab.quality.samples import Sample, Task, TensorSpec

if TYPE_CHECKING:
    from numpy.typing import NDArray

FAULTS = {"normal": 0, "B": 1, "IR": 2, "OR": 3}
STRIDE = 2048
HELD_OUT_LOAD_HP = 3
"""The shipped models were trained at the other loads."""
NORMAL_SPLIT = (0.6, 0.65)
"""One recording of a good bearing: training before the first, tests after the second share of it."""


@dataclass(frozen=True)
class Recordings:
    """Windows: features (n, BINS) int8, class, fault diameter in mil (0: none), load in hp, place in the file 0 .. 1."""

    x: NDArray[Any]
    y: NDArray[Any]
    diameter: NDArray[Any]
    load: NDArray[Any]
    time: NDArray[Any]

    def good(self, late: bool) -> NDArray[Any]:
        """Mask of the good bearing's windows: of the test part (late), or of the training part."""
        side = self.time > NORMAL_SPLIT[1] if late else self.time < NORMAL_SPLIT[0]
        mask: NDArray[Any] = (self.y == 0) & side
        return mask

    @property
    def held_out(self) -> NDArray[Any]:
        """Mask of what the shipped models were not trained on: the held-out load, the good bearing's test part."""
        mask: NDArray[Any] = ((self.y > 0) & (self.load == HELD_OUT_LOAD_HP)) | self.good(late=True)
        return mask


def read_recordings(folder: Path, loads: Sequence[int] | None = None) -> Recordings:
    """Windows of all recordings (of *loads*, and of good bearings), brought to 12 kHz; InputError names the file."""
    import numpy as np

    index = folder / "index.csv"
    try:
        rows = list(csv.DictReader(index.read_text(encoding="utf-8").splitlines()))
    except (OSError, UnicodeDecodeError) as error:
        raise InputError.at(index, "", f"cannot be read: {error}; expected the index of a recordings folder") from None
    columns: tuple[list[Any], ...] = ([], [], [], [], [])
    for number, row in enumerate(rows, start=2):
        try:
            label, diameter, load = FAULTS[row["fault"]], int(row["diameter_mil"] or 0), int(row["load_hp"])
            name = row["file"]
        except (KeyError, TypeError, ValueError) as error:
            raise InputError.at(index, f"line {number}", f"not a row of a recordings index: {error}") from None
        if name != Path(name).name:
            raise InputError.at(index, f"line {number}", f"{name!r} is not the name of a file in this folder")
        if label and loads is not None and load not in loads:
            continue
        signal, rate, speed = _signal(folder / name)
        stride = STRIDE
        if rate == 4 * SAMPLE_RATE_HZ:
            n = len(signal) // 8 * 8
            signal = np.fft.irfft(np.fft.rfft(signal[:n])[: n // 8 + 1], n // 4) / 4
            stride = STRIDE // 4  # closer, since there is only this one
        elif rate != SAMPLE_RATE_HZ:
            raise InputError.at(folder / name, "fs", f"expected 12000 or 48000 Hz, found {rate}")
        for start in range(0, len(signal) - WINDOW + 1, stride):
            window = envelope_orders(signal[start : start + WINDOW], SAMPLE_RATE_HZ, speed)
            for column, value in zip(columns, (window, label, diameter, load, start / len(signal)), strict=True):
                column.append(value)
    if not columns[0]:
        raise InputError.at(index, "", "lists no recording long enough for a window")
    return Recordings(*(np.array(column) for column in columns))


def _signal(file: Path) -> tuple[NDArray[Any], int, float]:
    from emulab.quality.datasets import read_npz

    arrays = read_npz(file)
    try:
        signal, rate, speed = arrays["de"].astype(float), int(arrays["fs"]), float(arrays["rpm"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError.at(file, "", f"expected the arrays de, fs and rpm: {error}") from None
    return signal, rate, speed


class RecordingsDataset:
    """What the shipped bearing models have not been trained on, as an evaluation set."""

    task: Task = "classification"
    labels: tuple[str, ...] = CONDITIONS

    def __init__(self, folder: Path, spec: TensorSpec | None = None) -> None:
        self.folder, self._spec = folder, spec
        if spec is not None and spec.elements != BINS:
            raise InputError.at(folder, "", f"gives {BINS} features, but the model takes {spec.elements}")
        windows = read_recordings(folder, loads=(HELD_OUT_LOAD_HP,))
        kept = windows.held_out
        self._x, self._y, self._diameter = windows.x[kept], windows.y[kept], windows.diameter[kept]
        self._scale = spec.scale if spec is not None and spec.quantised else 1 / 64
        self.value_range = (-128 * self._scale, 127 * self._scale)

    @property
    def name(self) -> str:
        return self.folder.name

    def __len__(self) -> int:
        return len(self._y)

    def __iter__(self) -> Iterator[Sample]:
        import numpy as np

        shape = (1, BINS) if self._spec is None else self._spec.shape
        for index, (x, y, diameter) in enumerate(zip(self._x, self._y, self._diameter, strict=True)):
            real = (x.astype(np.float32) * np.float32(self._scale)).reshape(shape)
            raw = real if self._spec is None else self._spec.quantise(real)
            yield Sample(
                f"{self.name}-{index:04d}", int(y), real, raw.tobytes(), group=str(diameter) if diameter else ""
            )
