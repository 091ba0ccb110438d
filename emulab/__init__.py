"""emulab: TinyML firmware on emulated and real boards, from one scenario.

The Python API, loaded when used, so that ``import emulab`` costs nothing::

    import emulab

    scenario = emulab.load("har-wearable", set=["measure.loops=3"])
    run = emulab.run(scenario, platform="nucleo-l4r5zi")
    run.metrics["latency_s"].value
    run.to_dataframe()

``emulab.run``, ``emulab.compare`` and ``emulab.sweep`` are rooms of the house too; these packages can be called.
The same functions, with types a checker sees, are in :mod:`emulab.api`.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"

_FUNCTIONS = ("load", "simulate")
_CALLABLE_PACKAGES = ("run", "compare", "sweep")


def __getattr__(name: str) -> Any:
    from importlib import import_module

    if name in _FUNCTIONS:
        return getattr(import_module("emulab.api"), name)
    if name in _CALLABLE_PACKAGES:
        return import_module(f"emulab.{name}")
    raise AttributeError(f"module 'emulab' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FUNCTIONS, *_CALLABLE_PACKAGES])
