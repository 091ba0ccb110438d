"""The run folder: what a run that comes to nothing leaves behind, which is nothing."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from emulab.errors import InputError, ToolError
from emulab.run.folder import prepare_folder, run_folder

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def test_refused_input_leaves_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError), run_folder(None, "s", NOW, ["p.unicorn"]):
        raise InputError("the model is not there")
    with pytest.raises(InputError), run_folder(Path("a/b/c"), "s", NOW):
        raise InputError("the model is not there")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_takes_its_artifacts_away(tmp_path: Path, error: type[BaseException]) -> None:
    output = tmp_path / "out"
    output.mkdir()
    (output / "notes.txt").write_text("the user's own")
    with pytest.raises(error), run_folder(output, "s", NOW, ["p.unicorn"]) as folder:
        (folder / "p.unicorn").mkdir()
        (folder / "p.unicorn/console.log").write_text("half a l")
        raise error
    assert [file.name for file in output.iterdir()] == ["notes.txt"]


def test_a_failed_run_keeps_its_console(tmp_path: Path) -> None:
    with pytest.raises(ToolError), run_folder(tmp_path / "out", "s", NOW, ["p.unicorn"]) as folder:
        (folder / "p.unicorn").mkdir()
        (folder / "p.unicorn/console.log").write_text("m-ready\n")
        raise ToolError("fell silent")
    assert (tmp_path / "out/p.unicorn/console.log").is_file()


@pytest.mark.parametrize("written_over", [False, True])
def test_an_old_record_never_speaks_of_new_artifacts(tmp_path: Path, written_over: bool) -> None:
    place = tmp_path / "p.unicorn"
    place.mkdir()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(KeyboardInterrupt), run_folder(tmp_path, "s", NOW, ["p.unicorn"]):
        if written_over:
            (place / "console.log").write_text("new")
        raise KeyboardInterrupt
    assert (tmp_path / "run.json").exists() != written_over


def test_runs_of_the_same_second_get_a_folder_each(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    folders: list[Path] = []
    threads = [threading.Thread(target=lambda: folders.append(prepare_folder(None, "s", NOW))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(folders)) == 8 and len(list((tmp_path / "runs").iterdir())) == 8
