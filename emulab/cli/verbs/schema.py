"""``emulab schema``: the JSON Schema of a file format."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", nargs="?", default="scenario", choices=["scenario", "platform", "record"])


def run(args: argparse.Namespace) -> int:
    import json

    from pydantic import BaseModel

    from emulab.model.platform import Platform
    from emulab.model.record import RunRecord
    from emulab.model.scenario import Scenario

    models: dict[str, type[BaseModel]] = {"scenario": Scenario, "platform": Platform, "record": RunRecord}
    model = models[args.what]
    print(json.dumps(model.model_json_schema(by_alias=True), indent=2))
    return 0
