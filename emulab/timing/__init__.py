"""Cycles from a profile: pipeline models per core, flash and cache models per SoC."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from emulab.model.platform import Platform
    from emulab.model.soc import Core
    from emulab.timing.base import TimingModel

# name -> module and class; imported when asked for
_MODELS = {
    "cortex-m0": ("emulab.timing.cortex_m0", "CortexM0"),
    "cortex-m0plus": ("emulab.timing.cortex_m0", "CortexM0Plus"),
    "cortex-m3": ("emulab.timing.cortex_m4", "CortexM3"),
    "cortex-m4": ("emulab.timing.cortex_m4", "CortexM4"),
    "cortex-m33": ("emulab.timing.cortex_m33", "CortexM33"),
    "cortex-m55": ("emulab.timing.cortex_m55", "CortexM55"),
    "cortex-m7": ("emulab.timing.cortex_m7", "CortexM7"),
    "e31": ("emulab.timing.riscv", "E31"),
    "rv32": ("emulab.timing.riscv", "InOrderRv32"),
}


def timing_models() -> list[str]:
    """Names a core may give as ``timing.model``."""
    return sorted(_MODELS)


def load_core_timing(core: Core, overrides: dict[str, float] | None = None) -> TimingModel:
    """The pipeline model of a core, with its parameters; *overrides* replace single ones.

    Raises InputError for an unknown model or parameter, or a value out of range.
    """
    import importlib

    from emulab.errors import InputError

    name = core.timing.model
    if name not in _MODELS:
        import difflib

        close = difflib.get_close_matches(name, _MODELS, n=1, cutoff=0.4)
        hint = f"did you mean {close[0]!r}?" if close else f"known: {', '.join(timing_models())}"
        raise InputError(f"core.timing.model: no timing model {name!r}; {hint}")
    module, factory = _MODELS[name]
    values = {key: number.value for key, number in core.timing.parameters.items()}
    values.update(overrides or {})
    model: TimingModel = getattr(importlib.import_module(module), factory)(values)
    return model


def load_timing(platform: Platform) -> TimingModel:
    """The pipeline model of a platform's core. See :func:`load_core_timing`."""
    return load_core_timing(platform.core)


def accuracy_text(platform: Platform) -> str:
    """How far cycle counts of *platform* may be off, and how that is known, for the record of a run."""
    accuracy = platform.core.timing.accuracy
    if accuracy is None:
        return f"cycle model {platform.core.timing.model} not compared with silicon"
    known = "assumed" if accuracy.assumed else "one standard deviation"
    return f"cycle model within {accuracy.value:.1%} ({known}): {accuracy.source}"
