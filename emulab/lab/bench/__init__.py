"""A bench without a bench: an emulated board on a serial port, with a power monitor that speaks real byte protocols."""
