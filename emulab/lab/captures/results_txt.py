"""What the MLPerf runners print into ``results.txt``: energies, run times and inferences per window."""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass
from pathlib import Path

_NUMBER = r"([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)"
_INFERENCES = re.compile(r"(?:# )?Inferences\s*:\s*(\d+)")
_ENERGY = re.compile(r"Energy/Inf\.?\s*:\s*" + _NUMBER)
_RUNTIME = re.compile(r"(?:Runtime|Elapsed time)\s*:\s*" + _NUMBER)
_MEDIAN = re.compile(r"Median energy cost is\s+" + _NUMBER)


@dataclass(frozen=True, slots=True)
class ReportedResults:
    """Per window: inferences, joules per inference, seconds. Empty lists where the file does not say."""

    inferences: list[int]
    energies_j: list[float]
    runtimes_s: list[float]
    median_energy_j: float | None

    def figures(self) -> dict[str, float]:
        """Medians under the names of a run record."""
        found = {}
        if self.median_energy_j is not None:
            found["energy_per_inference_j"] = self.median_energy_j
        if self.runtimes_s and len(self.runtimes_s) == len(self.inferences):
            pairs = zip(self.runtimes_s, self.inferences, strict=True)
            found["energy_mode_latency_s"] = statistics.median(t / n for t, n in pairs if n)
        return found


def parse(text: str) -> ReportedResults:
    """Parse any of the runners' formats (EEMBC runner, v1.3 Python runner)."""
    median = _MEDIAN.search(text)
    return ReportedResults(
        inferences=[int(x) for x in _INFERENCES.findall(text)],
        energies_j=[float(x) * 1e-6 for x in _ENERGY.findall(text)],
        runtimes_s=[float(x) for x in _RUNTIME.findall(text)],
        median_energy_j=float(median[1]) * 1e-6 if median else None,
    )


def beside(path: Path, stem: str, given: str = "") -> ReportedResults | None:
    """The results that lie beside a trace: *given*, ``STEM.results.txt`` or ``results.txt``; None without."""
    candidates = [Path(given)] if given else [path.with_name(stem + ".results.txt"), path.with_name("results.txt")]
    for candidate in candidates:
        if candidate.is_file():
            return parse(candidate.read_text(encoding="utf-8", errors="replace"))
    return None
