"""The Renode backend: a Renode process driven through its Monitor."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "RenodeBackend":
        from emulab.backends.renode.backend import RenodeBackend

        return RenodeBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
