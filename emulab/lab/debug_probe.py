"""A debug probe through pyOCD, which is an optional extra: found, opened, and what it says when it cannot be."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Mapping
from typing import Any

from emulab.errors import BackendUnavailable, InputError, ToolError

INSTALL = "pip install 'emulab[hardware]'"


def choose_probe(what: str, chip: str, unique_id: str = "", options: Mapping[str, Any] | None = None) -> Any:
    """A pyOCD session (not opened yet) with the probe *unique_id*, or the only one, on a *chip* as pyOCD names it.

    *what* begins every error: ``--flash pyocd``, ``console rtt:``. BackendUnavailable without pyOCD, InputError when
    the platform names no chip, ToolError when no probe is there.
    """
    if not chip:
        raise InputError(
            f"{what}: the platform does not say 'pyocd_target'; add backends.hardware.options.pyocd_target, "
            "e.g. pyocd_target: stm32l4r5zi"
        )
    try:
        from pyocd.core.helpers import ConnectHelper
    except ImportError:
        raise BackendUnavailable("hardware", f"{what}: pyOCD is not installed", INSTALL) from None
    # pyOCD prints that it found nothing, on the output that may hold a record: the error below says it.
    with probe_errors(what), contextlib.redirect_stdout(io.StringIO()):
        session = ConnectHelper.session_with_chosen_probe(
            unique_id=unique_id or None,
            target_override=chip,
            blocking=False,
            return_first=True,
            options=dict(options or {}),
        )
    if session is None:
        raise ToolError(f"{what}: no debug probe found; is the board plugged in, has udev a rule for it?")
    return session


@contextlib.contextmanager
def probe_errors(
    what: str,
    then: str = "is the board powered, and no other debugger attached?",
    passing: tuple[type[Exception], ...] = (),
) -> Iterator[None]:
    """pyOCD's errors, but those of *passing*, as one line that begins with *what* and ends with what to do."""
    from pyocd.core.exceptions import Error

    try:
        yield
    except passing:
        raise
    except (Error, OSError) as error:
        text = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ToolError(f"{what}: {text}; {then}") from None
