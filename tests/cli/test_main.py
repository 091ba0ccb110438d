"""The command line: help, one-line errors, exit codes, start-up cost."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from emulab.cli import VERBS, main
from emulab.model.quantity import Quantity
from emulab.model.record import Provenance, Result, RunRecord


def test_help_names_every_verb(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == 0
    text = capsys.readouterr().out
    assert all(verb in text for verb in VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert f"emulab {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["run"], "SCENARIO"),
        (["run", "no-such"], "no such folder, file or shipped name"),
        (["run", "mlperf-kws", "--set", "measure.lops=3"], "did you mean 'loops'"),
        (["run", "mlperf-kws", "--platform", "nucleo-l4r5z"], "did you mean 'nucleo-l4r5zi'"),
        (["run", "mlperf-kws", "--backend", "unicron"], "did you mean 'unicorn'"),
        (["report", "no-such-run"], "no run record there"),
        (["frobnicate"], "invalid choice"),
    ],
)
def test_wrong_input_is_one_line_and_exit_2(
    words: list[str], expected: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    try:
        code = main(words)
    except SystemExit as stopped:
        code = int(stopped.code or 0)
    error = capsys.readouterr().err
    assert code == 2
    assert expected in error
    assert error.count("\n") == 1 and "Traceback" not in error
    assert not any(tmp_path.rglob("run.json"))


def test_importing_the_command_line_imports_nothing_heavy() -> None:
    code = (
        "import sys, emulab.cli; emulab.cli._parser('run');"
        "heavy = {'numpy','pydantic','unicorn','capstone','simpy','plotly','rich','yaml'} & set(sys.modules);"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_that_lacks_characters_gets_every_figure(encoding: str, tmp_path: Path) -> None:
    energy = Quantity(value=2.088e-4, unit="J")
    result = Result(platform="b", backend="unicorn", status="passed", metrics={"energy_per_inference_j": energy})
    RunRecord(scenario={"name": "größe–模"}, provenance=Provenance(emulab="0"), results=[result]).write(tmp_path)
    words = [sys.executable, "-m", "emulab", "report", str(tmp_path)]
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    done = subprocess.run(words, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert "208.8 µJ".encode(encoding, "backslashreplace") in done.stdout


@pytest.mark.parametrize("what", ["scenario", "platform", "record"])
def test_schema_is_json_schema(what: str, capsys: pytest.CaptureFixture[str]) -> None:
    import json

    assert main(["schema", what]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["type"] == "object" and "properties" in schema


@pytest.mark.parametrize("width", [60, 80, 100, 160, 240])
def test_tables_fit_the_terminal(width: int) -> None:
    """No line is longer, and no cell is cut: what is left out is named."""
    from rich.console import Console

    from emulab.cli.show import print_rows

    rows = [
        {
            "key": f"suite-v1.{n}/Board-with-a-long-name-{'x' * n}",
            "model": "kws",
            "latency": "42.4 ms",
            "source": "s" * 70,
        }
        for n in range(30)
    ]
    screen = Console(file=io.StringIO(), width=width)
    print_rows(screen, "published", rows, optional=("source", "board"))
    text = screen.file.getvalue()  # type: ignore[attr-defined]
    assert max(len(line) for line in text.splitlines()) <= width
    assert text.count("42.4 ms") == 30 and "…" not in text and "board" not in text
    assert ("no room for: source; --json has all" in text) == (width < 160)
    joined = "".join(part for line in text.splitlines() for part in line.split("│")[1:2]).replace(" ", "")
    assert all(row["key"] in joined for row in rows)
