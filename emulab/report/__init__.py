"""Reports: everything here is derived from a run record, nothing is computed anew."""
