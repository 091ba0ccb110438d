"""Cycles from a profile: pipeline models per core, flash and cache models per SoC."""
