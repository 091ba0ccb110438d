"""pytest plugin: scenarios as tests, and a live board as a fixture.

- ``scenario.yaml`` files are collected: one test per target, failing when an expectation is broken.
- ``@pytest.mark.emulab(scenario=..., platform=..., backend=...)`` parametrises a test over the scenario's matrix; the
  fixtures ``emulab_run`` (an outcome with ``.result`` and ``.metrics``) and ``dut`` (a live session) follow it.
- ``--emulab-backend``, ``--emulab-platform`` narrow the matrix; ``--emulab-update-baseline`` writes baselines.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from emulab.backends.base import Session
    from emulab.dut import DutClient
    from emulab.model.record import Result, RunRecord
    from emulab.probe.profile import WindowProfile
    from emulab.run.plan import Job

LAST_LINES = 12


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("emulab")
    group.addoption("--emulab-backend", action="append", default=[], metavar="B", help="run scenarios on this backend")
    group.addoption(
        "--emulab-platform", action="append", default=[], metavar="P", help="run scenarios on this platform"
    )
    group.addoption("--emulab-update-baseline", action="store_true", help="write the scenarios' baselines anew")
    group.addoption(
        "--emulab-output", metavar="DIR", help="keep run folders here (default: below pytest's temp folder)"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers",
        "emulab(scenario, platform=None, backend=None, set=()): run the test for every target of an emulab scenario",
    )


class ExpectationBroken(Exception):
    """A scenario's expectations do not hold; the text is what pytest shows."""


@dataclass
class RunUnderTest:
    """One target of a scenario, run."""

    record: RunRecord
    result: Result
    folder: Path

    @property
    def metrics(self) -> dict[str, float | None]:
        """Metric -> value in SI units (None where unavailable)."""
        return {name: quantity.value for name, quantity in self.result.metrics.items()}

    def assert_expectations(self) -> None:
        """Raise ExpectationBroken, with all the reader needs, unless every expectation holds."""
        text = explain(self.record, self.folder)
        if text:
            raise ExpectationBroken(text)


def explain(record: RunRecord, folder: Path) -> str:
    """Why a run failed: expectation, value, deviation, largest layers, last console lines, path. Empty if it passed."""
    broken = [e for e in record.expectations if e.status != "passed"]
    bad = [r for r in record.results if r.status in ("error", "unavailable")]
    if not broken and not bad:
        return ""
    lines = []
    for item in broken:
        verdict = "is broken" if item.status == "failed" else "cannot be told"
        deviation = "" if item.deviation is None else f" (deviation {item.deviation:+.2%})"
        value = "" if item.value is None else f": {item.value:.6g}"
        lines.append(f"{item.target}: {item.metric} {verdict}{value}, asked {item.bound}{deviation}")
        if item.message:
            lines.append(f"  {item.message}")
    for result in bad:
        lines.append(f"{result.label}: {result.status}: {result.message}")
    for result in record.results:
        layers = [layer for window in result.windows for layer in window.layers if layer.cycles]
        top = sorted(layers, key=lambda layer: -(layer.cycles or 0))[:3]
        if broken and top:
            shown = ", ".join(f"{layer.symbol or layer.name} {layer.cycles:,.0f} cycles" for layer in top)
            lines.append(f"{'/'.join(filter(None, (result.platform, result.variant)))}: most time in {shown}")
        console = folder / result.artifacts.get("console", "")
        if result.artifacts.get("console") and console.is_file():
            lines.append("last console lines:")
            lines += [f"  {line[:160]}" for line in console.read_text().splitlines()[-LAST_LINES:]]
    lines.append(f"record: {folder / 'run.json'}")
    return "\n".join(lines)


def _jobs(config: pytest.Config, scenario: Any, platform: str | None = None, backend: str | None = None) -> list[Job]:
    from emulab.run.plan import plan

    platforms = config.getoption("--emulab-platform") or ([platform] if platform else [])
    backends = config.getoption("--emulab-backend") or ([backend] if backend else [])
    return plan(scenario, platforms, backends)


def _run(config: pytest.Config, reference: Path, overrides: list[str], job: Job, folder: Path) -> RunUnderTest:
    from emulab.model.scenario import load_scenario
    from emulab.run.baseline import update_baseline
    from emulab.run.engine import RunOptions, run_scenario

    loaded = load_scenario(reference, overrides)
    backend = f"{job.backend}:{job.argument}" if job.argument else job.backend
    outcome = run_scenario(
        loaded, RunOptions([job.platform], [backend], [job.variant] if job.variant else (), output=folder)
    )
    if config.getoption("--emulab-update-baseline"):
        update_baseline(loaded, outcome.record)
    return RunUnderTest(outcome.record, outcome.record.results[0], folder)


def _folder(config: pytest.Config, name: str) -> Path:
    chosen = config.getoption("--emulab-output")
    if chosen:
        base = Path(chosen)
    else:
        import tempfile

        factory = getattr(config, "_tmp_path_factory", None)
        base = factory.getbasetemp() if factory is not None else Path(tempfile.gettempdir())
    return base / "emulab" / name.replace("/", "-").replace(":", "-")


# -- scenario.yaml files as tests ----------------------------------------------------------------------------------


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name == "scenario.yaml":
        return ScenarioFile.from_parent(parent, path=file_path)
    return None


class ScenarioFile(pytest.File):
    """A scenario: one test per target."""

    def collect(self) -> Iterator[pytest.Item]:
        from emulab.errors import EmulabError
        from emulab.model.scenario import load_scenario

        try:
            loaded = load_scenario(self.path)
        except EmulabError as error:
            raise self.CollectError(str(error)) from None
        for job in _jobs(self.config, loaded.scenario):
            yield ScenarioItem.from_parent(self, name=job.label, job=job, scenario=loaded.scenario.name)


class ScenarioItem(pytest.Item):
    """One target of a scenario."""

    def __init__(self, *, job: Job, scenario: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.job, self.scenario = job, scenario

    def runtest(self) -> None:
        from emulab.errors import BackendUnavailable

        folder = _folder(self.config, f"{self.scenario}-{self.name}")
        try:
            run = _run(self.config, self.path, [], self.job, folder)
        except BackendUnavailable as error:
            pytest.skip(str(error))
        for name, value in run.metrics.items():
            self.user_properties.append((name, value))
        run.assert_expectations()

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        from emulab.errors import EmulabError

        if isinstance(excinfo.value, ExpectationBroken | EmulabError):
            return str(excinfo.value)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        return self.path, None, f"{self.scenario}: {self.name}"


# -- marker and fixtures -------------------------------------------------------------------------------------------


def _marked(node: Any) -> dict[str, Any]:
    marker = node.get_closest_marker("emulab")
    if marker is None:
        raise pytest.UsageError(f"{node.nodeid}: needs @pytest.mark.emulab(scenario=...)")
    scenario = marker.kwargs.get("scenario") or (marker.args[0] if marker.args else None)
    if scenario is None:
        raise pytest.UsageError(f"{node.nodeid}: @pytest.mark.emulab needs scenario=...")
    path = Path(scenario)
    beside = Path(node.path).parent / path
    reference = beside if beside.exists() else path
    values = {"set": [], "platform": None, "backend": None, **marker.kwargs}
    return {**values, "set": list(values["set"]), "scenario": reference}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "emulab_job" not in metafunc.fixturenames:
        return
    from emulab.model.scenario import load_scenario

    marked = _marked(metafunc.definition)
    loaded = load_scenario(marked["scenario"], marked["set"])
    jobs = _jobs(metafunc.config, loaded.scenario, marked["platform"], marked["backend"])
    metafunc.parametrize("emulab_job", jobs, ids=[job.label for job in jobs], scope="function")


@pytest.fixture
def emulab_run(request: pytest.FixtureRequest, emulab_job: Job, tmp_path: Path) -> RunUnderTest:
    """The marked scenario, run on one target; skipped where its backend is not installed."""
    from emulab.errors import BackendUnavailable

    marked = _marked(request.node)
    chosen = request.config.getoption("--emulab-output")
    folder = _folder(request.config, request.node.name) if chosen else tmp_path / "run"
    try:
        return _run(request.config, marked["scenario"], marked["set"], emulab_job, folder)
    except BackendUnavailable as error:
        pytest.skip(str(error))


@dataclass
class Dut:
    """A live board: the DUT client, the raw console, windows and pins."""

    client: DutClient
    session: Session

    def send(self, command: str, limit_s: float | None = None) -> list[str]:
        """Send a command (without ``%``); the lines before ``m-ready``."""
        return self.client.command(command, limit_s)

    def expect(self, pattern: str, limit_s: float = 10.0) -> str:
        """Read the raw console until *pattern* (a regular expression) matches; AssertionError after *limit_s*.

        On an emulated board that is of the board's clock too (:class:`emulab.dut.limit.Limit`).
        """
        import re

        from emulab.dut.limit import Limit

        limit, text = Limit(self.session.clock, limit_s), ""
        while not re.search(pattern, text):
            if limit.passed():
                raise AssertionError(
                    f"{pattern!r} did not come within {limit_s} s; came: {text[-200:]!r}{limit.note()}"
                )
            text += self.session.console.read(limit.wait_s(0.25)).decode("ascii", "replace")
        return text

    def windows(self) -> list[WindowProfile]:
        """Windows completed so far, with their profile."""
        profiler = self.session.profiler
        return [] if profiler is None else profiler.windows()


@pytest.fixture
def dut(request: pytest.FixtureRequest, emulab_job: Job) -> Iterator[Dut]:
    """The marked scenario's firmware, booted and ready; closed after the test."""
    from emulab.dut import DutClient
    from emulab.errors import BackendUnavailable
    from emulab.model.scenario import load_scenario
    from emulab.run.execute import open_session

    marked = _marked(request.node)
    loaded = load_scenario(marked["scenario"], marked["set"])
    with contextlib.ExitStack() as stack:
        try:
            session = stack.enter_context(open_session(loaded, emulab_job))
        except BackendUnavailable as error:
            pytest.skip(str(error))
        client = DutClient(session.console, session.clock, limit_s=loaded.scenario.measure.timeout_s)
        client.sync()
        yield Dut(client, session)


board = dut
