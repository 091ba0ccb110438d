"""``emulab schema``: the JSON Schema of a file format."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="scenario", choices=["scenario", "platform", "record"])


def run(args: argparse.Namespace) -> int:
    import json

    from emulab.model.platform import Platform
    from emulab.model.record import RunRecord
    from emulab.model.scenario import Scenario

    model = {"scenario": Scenario, "platform": Platform, "record": RunRecord}[args.what]
    print(json.dumps(model.model_json_schema(by_alias=True), indent=2))
    return 0
