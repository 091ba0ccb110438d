"""The command line: one module per verb, loaded only when its verb is used."""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from emulab.errors import EmulabError

VERBS: dict[str, str] = {
    "run": "run a scenario on its targets and leave a run record",
    "build": "build firmware from a model for a platform",
    "simulate": "simulate a duty cycle: battery life, energy by component and phase",
    "sweep": "run many variants of a scenario",
    "compare": "compare records, or a record with published results",
    "calibrate": "fit a platform's free parameters to physical runs",
    "baseline": "show, check or update a scenario's baseline record",
    "robustness": "accuracy of a scenario's models under noise, gain, offset, drop-outs and coarse sensors",
    "quantize": "quantise a float model and report the accuracy lost",
    "report": "write HTML, Markdown, CSV, JUnit or an MLPerf submission tree from records",
    "assets": "fetch or show models and inputs that do not ship with emulab",
    "bench-sim": "play a simulated bench: an emulated board on a serial port, with a power monitor",
    "list": "list platforms, backends, scenarios, operators, published results and more",
    "doctor": "say which backends and tools are here, and how to get the missing ones",
    "init": "write a scenario, a CI workflow and a test for a model",
    "schema": "print the JSON Schema of scenario, platform or record",
}


class _Parser(argparse.ArgumentParser):
    """Errors on one line, exit code 2."""

    def error(self, message: str) -> None:  # type: ignore[override]
        print(f"emulab: error: {message}; see: {self.prog} --help", file=sys.stderr)
        raise SystemExit(2)


def _parser(verb: str | None) -> argparse.ArgumentParser:
    from emulab import __version__

    parser = _Parser(
        prog="emulab",
        description="TinyML firmware on emulated and real boards, from one scenario.",
        epilog="Exit codes: 0 all expectations hold, 1 one failed, 2 the input is wrong, 3 a backend or tool failed.",
    )
    parser.add_argument("--version", action="version", version=f"emulab {__version__}")
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", required=True, parser_class=_Parser)
    for name, summary in VERBS.items():
        sub = verbs.add_parser(name, help=summary, description=summary[0].upper() + summary[1:] + ".")
        sub.add_argument("--debug", action="store_true", help="show the traceback of an error")
        if name == verb:
            import_module(f"emulab.cli.verbs.{name.replace('-', '_')}").arguments(sub)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Entry point of the ``emulab`` script; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in words
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal without a character for micro still gets the figure
            stream.reconfigure(errors="backslashreplace")
    try:
        verb = next((word for word in words if not word.startswith("-")), None)
        arguments = _parser(verb).parse_args(words)
        return int(import_module(f"emulab.cli.verbs.{arguments.verb.replace('-', '_')}").run(arguments))
    except EmulabError as error:
        if debug:
            raise
        print(f"emulab: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("emulab: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:
        if debug:
            raise
        print(
            f"emulab: internal error: {type(error).__name__}: {error}; run again with --debug for the traceback",
            file=sys.stderr,
        )
        return 3


if __name__ == "__main__":
    raise SystemExit(main())
