"""Makes the scripted DUT of the protocol's tests importable."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "dut"))
