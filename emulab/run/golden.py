"""The golden model beside the quantised one: on the same target for latency and memory, on the host where they part."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.record import write_text
from emulab.model.scenario import LoadedScenario, Variant
from emulab.run.inputs import Inputs, content_key, host_engine, load_inputs

if TYPE_CHECKING:
    from collections.abc import Callable

QUANTISED, FLOAT = "quantised", "float"
"""Names of the two, where the scenario itself names no models."""
SHOWN = 20
"""Disagreements kept in the record; their number is kept of all."""


def with_golden(loaded: LoadedScenario) -> tuple[LoadedScenario, frozenset[str]]:
    """The scenario with its golden models as further variants, and the names of those that were added.

    InputError where it names no golden model.
    """
    workload = loaded.scenario.workload
    build = loaded.scenario.build
    given = dict(workload.variants)
    if not given and workload.model is not None:
        given = {QUANTISED: Variant(model=workload.model, golden=workload.golden)}
    models = {variant.model for variant in given.values()}
    added = {}
    for name, variant in list(given.items()):
        if variant.golden is not None and variant.golden not in models:
            title = FLOAT if name == QUANTISED else f"{name}-{FLOAT}"
            added[title] = Variant(model=variant.golden, reference=variant.model, build=variant.build)
    if not added and not any(variant.golden for variant in given.values()):
        raise InputError.at(loaded.file, "workload.golden", "names no float model to run beside the quantised one")
    own = workload.model_copy(update={"variants": {**given, **added}})
    scenario = loaded.scenario.model_copy(update={"workload": own, "build": build})
    return LoadedScenario(scenario, loaded.file, loaded.data), frozenset(added)


def agreement_of(loaded: LoadedScenario, progress: Callable[[str], None]) -> dict[str, Any]:
    """``details["agreement"]`` of a result whose workload has a golden model; empty where the host cannot tell.

    :class:`emulab.quality.Agreement` as plain data, with at most :data:`SHOWN` disagreements, and both file names.
    """
    from emulab.quality import HostModelUnavailable

    inputs = load_inputs(loaded)
    if inputs.model is None or inputs.golden is None or inputs.dataset is None:
        return {}
    progress("quantised against float")
    try:
        return {"agreement": _cached(inputs)}
    except HostModelUnavailable as error:
        return {"agreement": {"unavailable": str(error)}}


def _cached(inputs: Inputs) -> dict[str, Any]:
    from emulab.cache import KeyPart, fetch_or_build
    from emulab.quality import agreement

    assert inputs.model is not None and inputs.golden is not None and inputs.dataset is not None
    model, golden, dataset = inputs.model, inputs.golden, inputs.dataset
    limit = None if inputs.declared is None else inputs.declared.limit
    engine, code = host_engine()

    def build(place: Any) -> None:
        found = agreement(model, golden, dataset, limit).details()
        found["apart"] = len(found["disagreements"])
        found["disagreements"] = found["disagreements"][:SHOWN]
        write_text(place / "agreement.json", json.dumps({"quantised": model.name, "float": golden.name, **found}))

    key: list[KeyPart] = [model, golden, content_key(dataset, limit), engine, code]
    found: dict[str, Any] = json.loads((fetch_or_build("agreement", key, build) / "agreement.json").read_text())
    return found
