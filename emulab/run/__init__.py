"""Run a scenario: plan -> build -> execute -> judge -> record. ``emulab.run(...)`` calls :func:`emulab.api.run`."""

from emulab._callable import make_callable

make_callable(__name__)
