"""Schema of a scenario: workload x targets + what to measure + duty cycle + expectations, and its loader."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from emulab.errors import InputError
from emulab.model.application import Application
from emulab.model.base import FileName, Schema, validate
from emulab.model.dutycycle import DutyCycle
from emulab.model.files import parse_value, read_yaml
from emulab.model.metrics import unknown_metric
from emulab.model.platform import deep_merge, search_path
from emulab.model.streaming import Stream


class Dataset(Schema):
    """Evaluation samples. ``format`` names a reader of emulab.quality."""

    path: str
    format: Literal["npz", "mlperf", "bearing"] = "npz"
    limit: int | None = Field(default=None, gt=0, description="use the first N samples for host accuracy")
    otherwise: Dataset | None = Field(
        default=None, description="what is used where the path is an asset that is not here; the report says which"
    )


class QualityTarget(Schema):
    """The quality the task asks for."""

    metric: Literal["accuracy_top1", "auc"] = "accuracy_top1"
    min: float = Field(ge=0, le=1)


class Variant(Schema):
    """One of several models that a scenario holds side by side: what it replaces of the workload, and of the build."""

    model: str
    golden: str | None = None
    golden_recorded: dict[str, float] = {}
    reference: str | None = None
    build: dict[str, Any] = Field(default={}, description="added to the scenario's build options")


class Workload(Schema):
    """A model or an image, its task, its dataset, its quality target. Paths are relative to the file.

    ``asset:NAME`` as a path is looked up in ``EMULAB_ASSETS`` and in what ``emulab assets pull`` fetched.
    """

    name: str
    task: Literal["classification", "anomaly", "streaming", "none"] = "classification"
    model: str | None = Field(default=None, description="int8 (or float32) .tflite")
    golden: str | None = Field(default=None, description="float .tflite the quantised model is held against")
    reference: str | None = Field(
        default=None, description="model that raw samples of the dataset were made for, where it is not `model`"
    )
    firmware: str | None = Field(default=None, description="a given image, instead of a model")
    input_bytes: int | None = Field(
        default=None, gt=0, le=27648, description="of a given image without dataset: how long its input is"
    )
    mlperf_id: str = Field(default="", description="what the DUT answers to profile%: kws01, ic01, ad01, vww01, ...")
    variants: dict[str, Variant] = Field(
        default={}, description="name -> model: each runs on every target; assigning workload.model leaves them out"
    )
    labels: list[str] = []
    dataset: Dataset | None = None
    quality: QualityTarget | None = None
    front_end: Literal["envelope"] | None = Field(
        default=None,
        description="what firmware makes of the sensor's samples before the model; envelope: of bearings, dataset "
        "format bearing. Without it the host sends features",
    )
    stream: Stream | None = Field(default=None, description="task streaming: sound in, detections out")
    golden_recorded: dict[str, float] = Field(
        default={},
        description="figures from the model card, used (and marked `recorded`) where the host cannot run the model",
    )

    @model_validator(mode="before")
    @classmethod
    def _first_variant(cls, data: Any) -> Any:
        """What takes one model takes the first of several."""
        if isinstance(data, dict) and data.get("model") is None and isinstance(data.get("variants"), dict):
            first = next(iter(data["variants"].values()), None)
            if isinstance(first, dict):
                return {**data, "model": first.get("model"), "golden": data.get("golden", first.get("golden"))}
        return data


class Target(Schema):
    """Platforms x backends. Every platform is run on every backend."""

    platforms: list[str] = Field(min_length=1)
    backends: list[str] = Field(default=["unicorn"], min_length=1)


class Robustness(Schema):
    """Disturbances whose effect on accuracy is told: levels per kind, one varied at a time (emulab.quality.noise).

    They go onto the sensor's signal where the dataset has it, else onto the model's input.
    """

    snr_db: list[float] = Field(default=[], description="white noise: signal power over noise power, dB")
    pink_db: list[float] = Field(default=[], description="the same with noise of power 1/f")
    brown_db: list[float] = Field(default=[], description="the same with noise of power 1/f^2")
    hum_db: list[float] = Field(default=[], description="the same with mains hum of hum_hz and two harmonics")
    impulse_db: list[float] = Field(default=[], description="the same with impulses, one time step in a hundred")
    background_db: list[float] = Field(default=[], description="the same with stretches of `background`")
    gain: list[Annotated[float, Field(ge=0)]] = Field(
        default=[], description="factor on the signal: sensitivity tolerance"
    )
    contrast: list[Annotated[float, Field(ge=0)]] = Field(
        default=[], description="images: factor about the image's mean"
    )
    offset: list[float] = Field(default=[], description="added to the signal, as a fraction of half the range: bias")
    drift: list[float] = Field(default=[], description="offset that grows to this fraction over a window")
    clip: list[Annotated[float, Field(gt=0, le=1)]] = Field(
        default=[], description="the sensor saturates at this fraction of half its range"
    )
    dropout: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[], description="fraction of time steps lost, the last good one held"
    )
    shift: list[Annotated[float, Field(gt=-1, lt=1)]] = Field(
        default=[], description="the window begins earlier by this fraction of its length"
    )
    jitter: list[Annotated[float, Field(ge=0, le=1000)]] = Field(
        default=[], description="standard deviation of when samples are taken, in sample periods"
    )
    blur: list[Annotated[float, Field(ge=0, le=64)]] = Field(default=[], description="images: Gaussian blur, pixels")
    bits: list[Annotated[int, Field(ge=1, le=24)]] = Field(
        default=[], description="resolution of the sensor's converter over its range"
    )
    seed: int = Field(default=0, ge=0)
    limit: int | None = Field(default=None, gt=0, description="use so many samples, drawn with the seed")
    hum_hz: float = Field(default=50.0, gt=0, description="frequency of the mains")
    sample_hz: float | None = Field(default=None, gt=0, description="rate of the samples where the dataset says none")
    background: str | None = Field(default=None, description="WAV recorded at the site, relative to the scenario")

    @property
    def sweep(self) -> dict[str, list[float]]:
        """Levels by kind, of the kinds that have any."""
        kinds = {name: getattr(self, name) for name in NOISE_KINDS}
        return {kind: [float(level) for level in levels] for kind, levels in kinds.items() if levels}


NOISE_KINDS = tuple(
    name for name in Robustness.model_fields if name not in ("seed", "limit", "hum_hz", "sample_hz", "background")
)
"""Kinds of disturbance, as they are named in ``robustness`` and in ``metric@kind=level``."""


class Window(Schema):
    """An interval of a run. Each end is one of

    - ``symbol`` or ``symbol+offset``: the first time (after the other end) execution enters that address;
    - ``console:REGEX``: searched in what the firmware has printed since the other end (it may span lines); the edge
      is where the *first byte of the line in which the match ends* was stored to the UART data register;
    - ``gpio:PIN:rising`` or ``gpio:PIN:falling``;
    - ``marker:NAME``: an ``emulab.h`` marker.

    Start and stop alternate, so a window that occurs again is counted again (``WindowProfile.index``).
    """

    name: str
    start: str = Field(alias="from")
    stop: str = Field(alias="to")
    inferences: int = Field(default=1, ge=1)


class Measure(Schema):
    """What is measured and how."""

    modes: list[Literal["performance", "energy", "accuracy"]] = Field(default=["performance"], min_length=1)
    loops: int = Field(default=5, ge=1, description="windows per performance measurement; the median counts")
    inferences: int = Field(
        default=2, ge=1, description="inferences per window in emulation, where numbers repeat exactly"
    )
    warmups: int = Field(default=1, ge=0)
    window_s: float = Field(default=10.0, gt=0, description="least window on real hardware")
    accuracy_samples: int = Field(
        default=20,
        ge=0,
        description="samples sent to the DUT in accuracy mode, the first ones (anomaly: evenly over the set); 0: all",
    )
    accuracy_windows: int = Field(
        default=0,
        ge=0,
        description="where a sample is fed in sliding windows: at most so many of each, evenly spaced; 0: all",
    )
    windows: list[Window] = []
    profile: bool = True
    timeout_s: float = Field(
        default=120.0,
        gt=0,
        description="limit for one DUT command: on a board of the host's clock; in emulation of both clocks, the board's "
        "and the host's, so that a slow host is no error (given up when the board's clock stands still for as long, "
        "and after 20 times the limit)",
    )


class Expectation(Schema):
    """One check, the same for run, compare and baseline.

    Exactly one of ``min``, ``max``, ``within`` (a fraction, or a percentage such as ``5 %``).
    """

    metric: str
    target: str = Field(default="", description="platform or platform/backend it applies to; empty: every result")
    min: float | None = None
    max: float | None = None
    within: float | None = Field(default=None, ge=0)
    of: Literal["limit", "baseline", "published", "physical"] = "limit"

    @model_validator(mode="before")
    @classmethod
    def _percent(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("within"), str):
            match = re.fullmatch(r"\s*([0-9.]+)\s*%\s*", data["within"])
            if match:
                return {**data, "within": float(match[1]) / 100}
        return data

    @model_validator(mode="after")
    def _check(self) -> Expectation:
        given = [name for name in ("min", "max", "within") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of min, max, within")
        if self.within is not None and self.of == "limit":
            raise ValueError("`within` needs `of: baseline`, `published` or `physical`")
        return self


class Scenario(Schema):
    """One scenario file."""

    schema_version: Literal[1] = 1
    name: FileName
    title: str = ""
    description: str = ""
    workload: Workload
    targets: list[Target] = Field(min_length=1)
    measure: Measure = Measure()
    duty_cycle: DutyCycle | None = None
    application: Application | None = Field(default=None, description="firmware that does the node's whole work")
    robustness: Robustness | None = Field(default=None, description="accuracy under noise, beside the clean figure")
    build: dict[str, Any] = Field(default={}, description="toolchain: {toolchain: zig|gnu, optimise: O2, ...}")
    expectations: list[Expectation] = []
    baseline: str | None = Field(default=None, description="committed record that `of: baseline` refers to")
    published: dict[str, str] = Field(
        default={}, description="platform -> key of the published result `of: published` refers to"
    )
    seed: int = Field(default=0, ge=0)
    allow_commands: list[str] = Field(
        default=[], description="commands a hardware run may execute, only with --allow-commands"
    )


class LoadedScenario:
    """A scenario, the folder its paths are relative to, and the merged data it came from."""

    def __init__(self, scenario: Scenario, file: Path, data: dict[str, Any]) -> None:
        self.scenario, self.file, self.data = scenario, file, data

    @property
    def folder(self) -> Path:
        return self.file.parent

    @property
    def label(self) -> str:
        """What is being worked on, for progress: the model's or image's name."""
        workload = self.scenario.workload
        return Path(workload.model or workload.firmware or workload.name).name

    def variant(self, name: str) -> LoadedScenario:
        """The scenario with the model of one variant; as it is for an empty name. InputError for an unknown one."""
        if not name:
            return self
        workload = self.scenario.workload
        if name not in workload.variants:
            known = ", ".join(workload.variants) or "none"
            raise InputError.at(self.file, "workload.variants", f"there is no variant {name!r}; there are: {known}")
        chosen = workload.variants[name]
        own = {"model": chosen.model, "golden": chosen.golden, "golden_recorded": chosen.golden_recorded}
        if chosen.reference is not None:
            own["reference"] = chosen.reference
        one = workload.model_copy(update={**own, "variants": {}})
        build = {**self.scenario.build, **chosen.build}
        return LoadedScenario(self.scenario.model_copy(update={"workload": one, "build": build}), self.file, self.data)

    def variants(self) -> list[LoadedScenario]:
        """One scenario per variant; itself where there are none."""
        return [self.variant(name) for name in self.scenario.workload.variants] or [self]

    def path(self, relative: str) -> Path:
        """Resolve a path of the scenario file against its folder."""
        return (self.folder / relative).resolve()


def apply_overrides(data: dict[str, Any], assignments: Iterable[str]) -> dict[str, Any]:
    """Apply ``a.b.c=value`` assignments (values are YAML). A number addresses a list item."""
    for assignment in assignments:
        key, separator, text = assignment.partition("=")
        if not separator or not key:
            raise InputError(f"--set {assignment}: expected KEY=VALUE, e.g. measure.loops=3")
        value = parse_value(text, f"--set {key}")
        data = _assign(data, key.split("."), value, key)
        if key == "workload.model" and isinstance(data["workload"], dict):
            # One model is asked for, in place of those side by side.
            data["workload"] = {k: v for k, v in data["workload"].items() if k != "variants"}
    return data


def _assign(node: Any, parts: list[str], value: Any, key: str) -> Any:
    head, rest = parts[0], parts[1:]
    if isinstance(node, list):
        if not head.isdigit() or int(head) >= len(node):
            raise InputError(f"--set {key}: {head!r} is not an item of a list of {len(node)}")
        copy = list(node)
        copy[int(head)] = _assign(copy[int(head)], rest, value, key) if rest else value
        return copy
    if node is None:
        node = {}
    if not isinstance(node, dict):
        raise InputError(f"--set {key}: {head!r} is below a plain value")
    return {**node, head: _assign(node.get(head), rest, value, key) if rest else value}


def scenario_names() -> list[str]:
    """Names of the scenarios on the search path."""
    return sorted({f.parent.name for folder in search_path("scenarios") for f in folder.glob("*/scenario.yaml")})


def find_scenario(reference: str | Path) -> Path:
    """A folder, a file or a shipped name -> scenario file. A plain name also finds the shipped folder of that name."""
    path = Path(reference)
    if path.is_dir():
        if not (path / "scenario.yaml").is_file():
            raise InputError.at(path, "", "the folder holds no scenario.yaml")
        return path / "scenario.yaml"
    if path.is_file():
        return path
    name = path.name if path.parent.name in ("", "scenarios") else ""
    for folder in search_path("scenarios") if name else []:
        if (folder / name / "scenario.yaml").is_file():
            return folder / name / "scenario.yaml"
    import difflib

    names = scenario_names()
    close = difflib.get_close_matches(str(reference), names, n=1, cutoff=0.4)
    hint = f"did you mean {close[0]!r}?" if close else f"shipped: {', '.join(names)}"
    raise InputError(f"scenario {str(reference)!r}: no such folder, file or shipped name; {hint}")


def load_scenario(reference: str | Path, overrides: Iterable[str] = ()) -> LoadedScenario:
    """Load a scenario with ``--set`` overrides applied; InputError names file and key."""
    file = find_scenario(reference)
    data = apply_overrides(deep_merge({}, read_yaml(file)), overrides)
    scenario = validate(Scenario, data, file)
    workload = scenario.workload
    if workload.model is None and workload.firmware is None:
        raise InputError.at(file, "workload", "needs `model`, `variants` or `firmware`")
    for name in workload.variants:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]{0,39}", name):
            raise InputError.at(
                file, f"workload.variants.{name}", "expected letters, digits, dots and dashes as a name"
            )
    for place, expectation in enumerate(scenario.expectations):
        wrong = unknown_metric(expectation.metric, NOISE_KINDS)
        if wrong:
            raise InputError.at(file, f"expectations.{place}.metric", wrong)
    return LoadedScenario(scenario, file.resolve(), data)
