"""Run a scenario: plan -> build -> execute -> judge -> record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from emulab.run.engine import RunOptions, run_scenario

__all__ = ["RunOptions", "run_scenario"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from emulab.run import engine

        return getattr(engine, name)
    raise AttributeError(name)
