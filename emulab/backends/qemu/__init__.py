"""The QEMU backend: QEMU system emulation with the probe loaded as a TCG plugin."""

from __future__ import annotations

from typing import Any


def __getattr__(name: str) -> Any:
    if name == "QemuBackend":
        from emulab.backends.qemu.backend import QemuBackend

        return QemuBackend
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
