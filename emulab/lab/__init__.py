"""Real bench parts: serial console, flash loaders, power monitors, recorded captures, and a simulated bench."""
