"""Records -> deviations and verdicts: expectations, published results, comparison, calibration."""

from emulab._callable import make_callable

make_callable(__name__)
