"""Packages that can be called: ``emulab.run(...)`` is a function, ``emulab.run.engine`` a module in the same package."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any


class _CallablePackage(ModuleType):
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function of the same name in :mod:`emulab.api`."""
        from importlib import import_module

        return getattr(import_module("emulab.api"), self.__name__.rpartition(".")[2])(*args, **kwargs)


def make_callable(package: str) -> None:
    """Let *package* be called as the API function of its name."""
    sys.modules[package].__class__ = _CallablePackage
