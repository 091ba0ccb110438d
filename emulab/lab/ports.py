"""Serial ports by URL, opened with errors that say what is wrong: busy, absent, not permitted."""

from __future__ import annotations

import errno
from typing import Any

from emulab.errors import BackendUnavailable, InputError, ToolError


def line_errors() -> tuple[type[Exception], ...]:
    """What pyserial lets through when a cable is pulled: OSError, and what its platform's calls raise besides."""
    try:
        from termios import error
    except ImportError:
        return (OSError, TypeError)
    return (OSError, TypeError, error)


LINE_ERRORS = line_errors()


def open_port(url: str, baud: int, what: str, timeout_s: float = 0.1, write_timeout_s: float | None = 5.0) -> Any:
    """Open a device path, ``socket://HOST:PORT`` or ``rfc2217://HOST:PORT``. Raises ToolError saying why it cannot.

    A device is opened exclusively, so that a port another program holds is seen as busy.
    """
    try:
        import serial
    except ImportError:
        raise BackendUnavailable("hardware", "pyserial is not installed", "pip install pyserial") from None
    options: dict[str, Any] = {"baudrate": baud, "timeout": timeout_s, "write_timeout": write_timeout_s}
    if "://" not in url:
        options["exclusive"] = True
    try:
        return serial.serial_for_url(url, **options)
    except serial.SerialException as error:
        raise ToolError(f"{what} {url}: {_reason(error)}") from None
    except (ValueError, OSError) as error:
        if isinstance(error, OSError):
            raise ToolError(f"{what} {url}: {_reason(error)}") from None
        raise InputError(f"{what} {url}: not a port: {error}") from None


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    text = str(error)
    if number == errno.ENOENT or "No such file" in text or "FileNotFound" in text:
        return "no such port; is the board plugged in? (ports: python -m serial.tools.list_ports)"
    if number in (errno.EACCES, errno.EPERM) or "Permission denied" in text:
        return "no permission; add yourself to its group (dialout or uucp) or set a udev rule, then log in again"
    if (
        number in (errno.EBUSY, errno.EAGAIN)
        or "Resource busy" in text
        or "exclusively lock" in text
        or "Access is denied" in text
    ):
        return "busy; another program holds it (a terminal, an IDE?): close that first"
    if "refused" in text:
        return "connection refused; is the server running?"
    return f"cannot be opened: {text.splitlines()[0] if text else type(error).__name__}"
