"""Inputs of a run: the model, its evaluation samples as the DUT takes them, and accuracy on the host."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from emulab.errors import InputError
from emulab.model.quantity import Quantity, unavailable
from emulab.model.scenario import LoadedScenario
from emulab.run.assets import resolve

if TYPE_CHECKING:
    from emulab.dut import AccuracySample
    from emulab.firmware.build import Firmware
