"""Lowering of operators to C, one module per family."""
