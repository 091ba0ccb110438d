"""The embedded backend: firmware on a model of the board, in this process, in virtual time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from emulab.backends.base import Availability, Capability, SessionOptions

if TYPE_CHECKING:
    from emulab.backends.unicorn.session import UnicornSession
    from emulab.firmware.image import Image
    from emulab.model.platform import Platform

__all__ = ["UnicornBackend"]


class UnicornBackend:
    """Unicorn as CPU, everything around it modelled on a SimPy clock. Always fidelity ``board``."""

    name = "unicorn"
    capabilities: frozenset[Capability] = frozenset(
        {"console", "virtual-time", "profile", "cycles", "memory-accesses", "gpio", "stack"}
    )

    def available(self) -> Availability:
        from importlib import metadata

        try:
            version = metadata.version("unicorn")
        except metadata.PackageNotFoundError:
            return Availability(
                False, reason="package unicorn is missing", how_to_install="pip install 'unicorn>=2.1.2,<2.2'"
            )
        if not version.startswith("2.1."):
            return Availability(
                False, version, "its engine is not of the 2.1 series", "pip install 'unicorn>=2.1.2,<2.2'"
            )
        return Availability(True, version)

    def fidelity(self, platform: Platform) -> Literal["board", "core"] | None:
        return "board" if "unicorn" in platform.core.cpu else None

    def firmware_platform(self, platform: Platform) -> Platform:
        return platform

    def open(self, platform: Platform, image: Image, options: SessionOptions) -> UnicornSession:
        from emulab.backends.unicorn.session import UnicornSession

        image.check_fits(platform)
        return UnicornSession(platform, image, options)
