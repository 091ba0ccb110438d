"""Peripheral models of the embedded machine, one family per file."""

from __future__ import annotations

from functools import lru_cache

from emulab.backends.unicorn.peripherals.base import Peripheral, RegisterFile, peripheral_class, register

__all__ = ["Peripheral", "RegisterFile", "load_all", "peripheral_class", "register"]


@lru_cache(maxsize=1)
def load_all() -> None:
    """Import every family, and what other packages register under ``emulab.peripherals``."""
    import pkgutil
    from importlib import import_module
    from importlib.metadata import entry_points

    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        import_module(f"{__name__}.{module}")
    for point in entry_points(group="emulab.peripherals"):
        point.load()
