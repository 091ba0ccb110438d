"""Records -> deviations and verdicts: expectations, published results, comparison, calibration."""
