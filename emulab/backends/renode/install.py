"""Find Renode: ``--renode PATH`` or ``--backend renode:PATH``, ``$RENODE``, the PATH, renode-run."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from emulab.errors import ToolError

OLDEST = (1, 15)
HOW_TO_INSTALL = "pip install git+https://github.com/antmicro/renode-run && renode-run download"  # its README
_VERSION_LIMIT_S = 60.0


def find(argument: str = "") -> list[str]:
    """Command that starts Renode. ToolError where there is none, or a named one does not exist."""
    for given, origin in ((argument, "--renode "), (os.environ.get("RENODE", ""), "$RENODE: ")):
        if given:
            command = shlex.split(given)
            if not Path(command[0]).is_file() and not shutil.which(command[0]):
                raise ToolError(f"{origin}{command[0]}: no such program")
            return command
    if shutil.which("renode"):
        return [str(shutil.which("renode"))]
    if shutil.which("renode-run"):
        return [str(shutil.which("renode-run")), "--"]
    raise ToolError("neither renode nor renode-run is on the PATH")


def version_of(command: Sequence[str]) -> tuple[int, int, int]:
    """Version that ``renode --version`` prints. ToolError where it is none, or too old."""
    try:
        done = subprocess.run(
            [*command, "--version"],
            capture_output=True,
            text=True,
            timeout=_VERSION_LIMIT_S,
            check=False,
            stdin=subprocess.DEVNULL,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ToolError(f"{command[0]} does not start: {error}") from None
    text = done.stdout + done.stderr
    match = re.search(r"[Rr]enode,? (?:version|v)?\s*(\d+)\.(\d+)(?:\.(\d+))?", text)
    if not match:
        first = next((line for line in text.splitlines() if line.strip()), f"exit status {done.returncode}")
        raise ToolError(f"{command[0]} --version did not tell a version: {first.strip()[:120]}")
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    if version[:2] < OLDEST:
        raise ToolError(f"{command[0]} is Renode {'.'.join(map(str, version))}; emulab needs 1.15 or newer")
    return version
