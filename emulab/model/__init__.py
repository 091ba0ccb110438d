"""Schemas: quantity, platform, scenario, run record. Pydantic models and nothing else."""
