"""Sweeps: a scenario times parameters, as many runs; local processes, or Dask where one machine is too small.

``emulab.sweep(...)`` calls :func:`emulab.api.sweep`.
"""

from emulab._callable import make_callable

make_callable(__name__)
