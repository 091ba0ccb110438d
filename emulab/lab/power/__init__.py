"""Power monitors: one protocol, one vendor per file. Lost samples, range switches and overloads are counted."""

from emulab.lab.power.base import MonitorOptions, PowerMonitor, monitor_names, open_monitor

__all__ = ["MonitorOptions", "PowerMonitor", "monitor_names", "open_monitor"]
