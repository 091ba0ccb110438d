"""Firmware: images, toolchains, start-up, the DUT protocol and the build of a model for a platform."""
