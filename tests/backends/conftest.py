"""Makes the scripted DUT of the protocol's tests, and the skips of this folder, importable."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parent.parent / "dut"), str(Path(__file__).parent)]
