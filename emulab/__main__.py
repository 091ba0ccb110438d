"""``python -m emulab``."""

from emulab.cli import main

raise SystemExit(main())
