"""Outputs of images against what boards printed: which recording an image is held against, and how it is counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from emulab.compare.fidelity_outputs import (
    Comparison,
    Recording,
    compare,
    main,
    markdown,
    read_recording,
    recording_for,
    spread,
)
from emulab.errors import InputError
from emulab.firmware.build import BuildOptions, build
from emulab.model.platform import data_folder, load_platform

HAR = data_folder("scenarios") / "har-wearable" / "har_int8.tflite"


def entry(**given: str) -> dict[str, str]:
    return {"round": "v1.3", "submitter": "Maker", "system_id": "BOARD-A", "model": "kws", **given}


def test_an_image_is_held_against_its_own_recording_then_its_makers_then_the_reference() -> None:
    def recordings(*names: str) -> list[Recording]:
        return [Recording(name, name.rsplit("_", 1)[-1], {}) for name in names]

    own, other = "v1.3_Maker_BOARD-A_kws", "v1.3_Maker_BOARD-B_kws"
    earlier, reference = "v1.1_Maker_BOARD-C_kws", "v0.5_reference_Nucleo-L4R5ZI_kws"
    everything = recordings(reference, earlier, other, own)
    for expected in (own, other, reference):
        found = recording_for(entry(), everything)
        assert found is not None and found.name == expected
        everything = [r for r in everything if r.name != expected]
    found = recording_for(entry(), everything)
    assert found is not None and found.name == earlier
    assert recording_for(entry(model="ic"), everything) is None


def test_inputs_are_spread_over_the_list() -> None:
    names = [str(i) for i in range(10)]
    assert spread(names, 0) == spread(names, 10) == names
    assert spread(names, 3) == ["0", "3", "6"]


def test_recording_that_is_none_names_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "v1.0_a_b_kws.csv"
    file.write_text('file,outputs\na.bin,"0.1,0.9"\nb.bin,"0.1,x"\n')
    with pytest.raises(InputError, match=r"v1\.0_a_b_kws\.csv.*line 3.*expected the columns file and outputs"):
        read_recording(file)
    file.write_text('file,outputs\na.bin,"0.1,0.9"\n')
    assert read_recording(file) == Recording("v1.0_a_b_kws", "kws", {"a.bin": (0.1, 0.9)})


def test_scores_and_classes_are_counted(tmp_path: Path) -> None:
    """The same firmware against what it printed itself, once with a class swapped and once with a score changed."""
    platform = load_platform("nucleo-l4r5zi").platform
    built = build(HAR, platform, options=BuildOptions(model_id="har01"))
    for name, value in (("a", 1), ("b", 60), ("c", 130)):
        (tmp_path / f"{name}.bin").write_bytes(bytes([value]) * built.input_bytes)
    zeros = (0.0,) * built.outputs[0].shape[-1]
    blank = Recording("v", "har", dict.fromkeys(("a.bin", "b.bin", "c.bin", "missing.bin"), zeros))
    row = compare("har", platform, built.image, blank, tmp_path, 0)
    assert row is not None and row.inputs == 3 and row.values == 3 * len(zeros)
    assert row.largest > 0.1 and row.same_values == 0
    assert compare("har", platform, built.image, Recording("v", "har", {"none.bin": zeros}), tmp_path, 0) is None
    with pytest.raises(InputError, match=r"har: \d results, v has 1 for a\.bin"):
        compare("har", platform, built.image, Recording("v", "har", {"a.bin": (0.5,)}), tmp_path, 0)


def test_table_and_bad_input(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = markdown([Comparison("image", "board", "recording", 10, 9, 8, 120, 117, 0.0123, 1.0)])
    assert "| image | board | recording | 10 | 9 | 8 | 97.50% | 0.0123 |" in text
    index = tmp_path / "index.csv"
    index.write_text("file,board,measured_latency_ms\n")
    common = ["--index", str(index), "--firmware", str(tmp_path), "--inputs", str(tmp_path)]
    assert main([*common, "--recorded", str(tmp_path / "nowhere")]) == 2
    assert "expected CSV files ROUND_SUBMITTER_SYSTEM_MODEL.csv" in capsys.readouterr().err
