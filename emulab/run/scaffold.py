"""Scaffold of ``emulab init``: files written beside a model, with budgets taken from a first run."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

from emulab.errors import InputError
from emulab.model.record import write_text

BUDGETED = ("latency_s", "energy_per_inference_j", "flash_bytes", "ram_bytes", "stack_bytes")

IMAGES = (".elf", ".axf", ".out", ".hex", ".ihex")

GITHUB = """\
name: emulab
on: [push, pull_request]
jobs:
  emulab:
    runs-on: ubuntu-latest
    permissions: {contents: read}
    steps:
      - uses: actions/checkout@v4
      - uses: actions/setup-python@v5
        with: {python-version: "3.12", cache: pip}
      - uses: actions/cache@v4
        with:
          path: ~/.cache/emulab
          key: emulab-${{ hashFiles('**/*.tflite', '**/scenario.yaml') }}
          restore-keys: emulab-
      - run: pip install emulab pytest
      - run: pytest --junitxml=emulab.xml
      - if: always()
        run: emulab run . --markdown "$GITHUB_STEP_SUMMARY" || true
"""

GITLAB = """\
emulab:
  image: python:3.12
  variables: {EMULAB_CACHE: "$CI_PROJECT_DIR/.emulab-cache"}
  cache: {key: emulab, paths: [.emulab-cache]}
  script:
    - pip install emulab pytest
    - pytest --junitxml=emulab.xml
  artifacts:
    when: always
    reports: {junit: emulab.xml}
"""

TEST = '''\
"""The model stays within its budgets (scenario.yaml) on every board."""

import pytest


@pytest.mark.emulab(scenario="scenario.yaml")
def test_budgets(emulab_run):
    emulab_run.assert_expectations()
'''


def scaffold(
    folder: Path,
    model: Path | None,
    platforms: Sequence[str],
    headroom: float,
    ci: str,
    measure: bool,
    progress: Callable[[str, str], None] = lambda label, step: None,
    input_bytes: int | None = None,
) -> list[Path]:
    """Write ``scenario.yaml``, ``test_emulab.py`` and a CI workflow into *folder*.

    *model* may be firmware that speaks the DUT protocol; it takes inputs of *input_bytes*. Budgets are today's figures
    plus *headroom*. Nothing that exists is overwritten. Raises InputError when there is no model, several, or a file is in
    the way.
    """
    from emulab.model.platform import load_platform

    if not 0 <= headroom < 10:
        raise InputError(f"--headroom {headroom}: expected a share such as 0.10")
    model = model or _only_model(folder)
    if not model.is_file():
        said = "is a folder; expected a .tflite model or firmware" if model.is_dir() else "no such file"
        raise InputError(f"{model}: {said}")
    is_image = model.suffix.lower() in IMAGES
    if is_image and input_bytes is None:
        raise InputError(f"{model}: firmware does not say how long its input is; add --input-bytes N")
    if not is_image and input_bytes is not None:
        raise InputError(f"--input-bytes: {model.name} says itself how long its input is; it is for firmware")
    for name in platforms:
        load_platform(name)
    scenario, test = folder / "scenario.yaml", folder / "test_emulab.py"
    workflow = {"github": folder / ".github/workflows/emulab.yml", "gitlab": folder / ".gitlab-ci.yml"}.get(ci)
    for file in (scenario, test, *([workflow] if workflow else [])):
        if file.exists():
            raise InputError(f"{file}: is there already; emulab init overwrites nothing")
    try:
        relative = model.resolve().relative_to(folder.resolve()).as_posix()
    except ValueError:
        raise InputError(
            f"{model}: lies outside {folder.resolve()}; copy it there, paths are relative to the scenario"
        ) from None
    name = re.sub(r"[^a-z0-9]+", "-", model.stem.lower()).strip("-") or "model"
    head = _scenario(name, relative, platforms, input_bytes)
    budgets: list[str] = []
    if measure:
        budgets = _measure(head, folder, scenario, headroom, progress)
    body = "expectations:\n" + "\n".join(budgets) + "\n" if budgets else "expectations: []\n"
    written = [write_text(scenario, head + body), write_text(test, TEST)]
    if workflow:
        written.append(write_text(workflow, GITHUB if ci == "github" else GITLAB))
    return written


def _only_model(folder: Path) -> Path:
    found = sorted(folder.glob("*.tflite")) or sorted(folder.glob("*/*.tflite"))
    if len(found) != 1:
        listed = f"found {', '.join(f.name for f in found[:5])}" if found else "there is no .tflite file"
        raise InputError(f"{folder.resolve()}: {listed}; say which model: emulab init MODEL")
    return found[0]


def _scenario(name: str, model: str, platforms: Sequence[str], input_bytes: int | None) -> str:
    import json

    given = f"  model: {json.dumps(model)}\n"
    if input_bytes is not None:
        given = f"  firmware: {json.dumps(model)}\n  input_bytes: {input_bytes}\n"
    return (
        "# What emulab runs and checks; every key: emulab schema\n"
        "schema_version: 1\n"
        f"name: {name}\n"
        f"workload:\n  name: {name}\n{given}  task: none\n"
        f"targets:\n  - platforms: {json.dumps(list(platforms))}\n    backends: [unicorn]\n"
        "measure: {loops: 1, inferences: 1, warmups: 0}\n"
        "baseline: baseline.json\n"
    )


def _measure(
    head: str, folder: Path, scenario: Path, headroom: float, progress: Callable[[str, str], None]
) -> list[str]:
    import tempfile

    from emulab.model.base import validate
    from emulab.model.files import parse_yaml
    from emulab.model.scenario import LoadedScenario, Scenario
    from emulab.run.engine import RunOptions, run_scenario

    data = parse_yaml(head)
    loaded = LoadedScenario(validate(Scenario, data, scenario), scenario.resolve(), data)
    with tempfile.TemporaryDirectory(prefix="emulab-") as scratch:
        record = run_scenario(loaded, RunOptions(output=Path(scratch)), progress).record
    lines = []
    for result in record.results:
        for metric in BUDGETED:
            quantity = result.metrics.get(metric)
            if quantity is not None and quantity.value:
                limit = _round_up(quantity.value * (1 + headroom))
                lines.append(f"  - {{metric: {metric}, target: {result.label}, max: {limit:g}}}")
    return lines


def _round_up(value: float) -> float:
    """*value* rounded up to three digits, so that a budget reads well and is never below what it was made from."""
    step = 10 ** (math.floor(math.log10(value)) - 2)
    return float(f"{math.ceil(value / step) * step:.12g}")
