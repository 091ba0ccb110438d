"""``emulab assets``: models that do not ship with emulab."""

from __future__ import annotations

import argparse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["list", "pull"], default="list", help="default: list")
    parser.add_argument("names", nargs="*", metavar="ASSET", help="which (default: all)")
    parser.add_argument(
        "--from", dest="base_url", metavar="URL", help="another place that mirrors the upstream's paths"
    )


def run(args: argparse.Namespace) -> int:
    from emulab.run import assets

    if args.action == "pull":
        base = args.base_url.rstrip("/") + "/" if args.base_url else assets.MLCOMMONS_BASE
        for file in assets.pull(args.names, base):
            print(file)
        return 0
    for asset in assets.ASSETS.values():
        found = assets.find(asset.path)
        print(f"{asset.path}  {asset.licence}  {found if found else 'not here: emulab assets pull ' + asset.path}")
    return 0
