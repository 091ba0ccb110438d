"""Sweeps: a scenario times parameters, as many runs; local processes, or Dask where one machine is too small."""
