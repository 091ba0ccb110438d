"""emulab: TinyML firmware on emulated and real boards, from one scenario.

Nothing is imported here beyond the version, so that ``import emulab`` costs nothing.
"""

__version__ = "0.1.0"
