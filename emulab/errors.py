"""Errors for people: one root, leaves that know their exit code.

Exit codes are those of the command line: 1 an expectation failed, 2 the input is wrong, 3 a backend or
tool failed or timed out. A message is one line that names what, where, what was expected and what to do.
"""

from __future__ import annotations


class EmulabError(Exception):
    """Root of everything emulab raises on purpose; ``str()`` is one line fit to print."""

    exit_code = 3


class ExpectationFailed(EmulabError):
    """The run worked, the scenario's expectations do not hold."""

    exit_code = 1


class InputError(EmulabError):
    """A scenario, platform, image, model or argument is wrong."""

    exit_code = 2

    @classmethod
    def at(cls, file: object, place: str, message: str) -> InputError:
        """Build the usual ``file: place: message`` line."""
        return cls(f"{file}: {place}: {message}" if place else f"{file}: {message}")


class DoesNotFit(InputError):
    """A model is too large for a platform's memory; ``needed`` holds ``flash_bytes`` or ``ram_bytes``, where known."""

    def __init__(self, message: str, needed: dict[str, float] | None = None) -> None:
        self.needed = needed or {}
        super().__init__(message)


class ToolError(EmulabError):
    """A backend, compiler or other tool failed, is missing or did not answer in time."""


class BackendUnavailable(ToolError):
    """The backend is not installed; carries the line that installs it."""

    def __init__(self, backend: str, reason: str, how_to_install: str = "") -> None:
        self.backend, self.reason, self.how_to_install = backend, reason, how_to_install
        hint = f"; install it with: {how_to_install}" if how_to_install else ""
        super().__init__(f"backend {backend!r} is not available: {reason}{hint}")


class FirmwareFault(ToolError):
    """Firmware faulted, ran away or fell silent; the message carries PC, symbol and last console lines."""


class DutTimeout(ToolError):
    """The device under test did not answer within its limit."""
