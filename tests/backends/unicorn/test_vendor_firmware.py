"""Unmodified DUT images of MLPerf Tiny submitters: they boot, speak the protocol, and compute what the board computed."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from emulab.backends.base import SessionOptions, load_backend
from emulab.backends.unicorn.session import UnicornSession
from emulab.compare.fidelity import BOARDS, measure_image, present, read_index
from emulab.dut import DutClient
from emulab.errors import EmulabError
from emulab.firmware.image import load_image
from emulab.model.platform import load_platform

LIMIT = 0.10
"""No image may deviate more than this from its published latency."""


def sample(assets: Path, model: str) -> bytes:
    folder = assets / "mlperf-tiny" / "eval" / f"{model}01"
    files = sorted(folder.glob("*.bin"))
    if not files:
        pytest.skip(f"needs inputs of {model}01 in EMULAB_ASSETS")
    data = files[0].read_bytes()
    return data[:2560] if model == "ad" else data


def test_every_image_present_boots_and_takes_the_time_it_took_on_the_board(assets: Path, firmware_folder: Path) -> None:
    """Boot, ``profile%``, one performance loop or one energy-mode window; latency within the limit."""
    index = assets / "published" / "dut_firmware_index.csv"
    if not index.is_file():
        pytest.skip("needs the index of published images in EMULAB_ASSETS")
    problems = []
    count = 0
    for entry, file in present(read_index(index), firmware_folder):
        if entry["model"] not in ("kws", "ic", "ad"):
            continue
        row = measure_image(entry, file, sample(assets, entry["model"]))
        count += 1
        if row.problem or row.deviation is None:
            problems.append(f"{row.image}: {row.problem}")
        elif abs(row.deviation) > LIMIT:
            problems.append(f"{row.image}: {row.deviation * 100:+.1f} %")
    if not count:
        pytest.skip("none of the indexed images is in EMULAB_FIRMWARE")
    assert not problems, "\n".join(problems)


@pytest.mark.parametrize(
    ("outputs", "image"),
    [
        ("v1.3_STMicroelectronics_NUCLEO_L4R5ZI-P_kws", "v1.3_STMicroelectronics_NUCLEO_L4R5ZI-P_kws_performance.hex"),
        ("v1.3_STMicroelectronics_NUCLEO_U575ZI_Q_kws", "v1.3_STMicroelectronics_NUCLEO_U575ZI_Q_kws_performance.hex"),
        ("v1.1_bosch_DISCO_F746NG_kws", "v1.1_bosch_DISCO_F746NG_kws_performance.bin"),
    ],
)
def test_outputs_are_what_the_board_printed(assets: Path, firmware_folder: Path, outputs: str, image: str) -> None:
    """Three decimals of every class, on ten inputs of kws01."""
    recorded = assets / "board-outputs" / f"{outputs}.csv"
    file = firmware_folder / image
    if not recorded.is_file() or not file.is_file():
        pytest.skip(f"needs {recorded.name} in EMULAB_ASSETS and {image} in EMULAB_FIRMWARE")
    rows = list(csv.DictReader(recorded.open(newline="")))
    index = read_index(assets / "published" / "dut_firmware_index.csv")
    board = next(entry["board"] for entry, found in present(index, file.parent) if found == file)
    platform = load_platform(BOARDS[board]).platform
    base = platform.soc.vector_base if file.suffix == ".bin" else None
    inputs = assets / "mlperf-tiny" / "eval" / "kws01"
    with load_backend("unicorn").open(platform, load_image(file, base), SessionOptions()) as session:
        client = DutClient(session.console, session.clock)
        client.sync()
        checked = 0
        for row in rows[::100]:
            source = inputs / row["file"]
            if not source.is_file():
                continue
            client.load(source.read_bytes())
            results = client.infer(1, 0).results
            assert results == pytest.approx([float(v) for v in row["outputs"].split(",")], abs=0.0011), source.name
            checked += 1
        assert checked >= 5


AD_INPUT, AD_OUTPUT = (0.3910152316, 89), (0.3644984663, 96)
"""Scale and zero point of input and output of ad01_int8.tflite."""


def test_the_anomaly_detector_that_takes_int8_reconstructs_what_the_others_do(
    assets: Path, firmware_folder: Path
) -> None:
    """Bosch's H7A3 image compares with a float array that it never fills; its output tensor is that of the others."""
    import numpy as np

    file = firmware_folder / "v1.1_bosch_NUCLEO_H7A3ZI_ad_performance.bin"
    other = firmware_folder / "v1.1_bosch_NUCLEO_L4R5ZI_ad_performance.bin"
    if not file.is_file() or not other.is_file():
        pytest.skip(f"needs {file.name} and {other.name} in EMULAB_FIRMWARE")
    window = sample(assets, "ad")
    values = np.frombuffer(window, "<f4")
    with load_backend("unicorn").open(
        load_platform("nucleo-l4r5zi").platform, load_image(other, 0x08000000), SessionOptions()
    ) as session:
        client = DutClient(session.console, session.clock)
        client.sync()
        client.load(window)
        (expected,) = client.infer(1, 0).results
    scale, zero = AD_INPUT
    quantised = np.clip(np.round(values / scale) + zero, -128, 127).astype(np.int8)
    with UnicornSession(
        load_platform("nucleo-h7a3zi-q").platform, load_image(file, 0x08000000), SessionOptions()
    ) as session:
        client = DutClient(session.console, session.clock)
        client.sync()
        client.load(quantised.tobytes())
        (printed,) = client.infer(1, 0).results
        tensor = np.frombuffer(session.machine.peek(0x24006FD0, 640), np.int8)
    scale, zero = AD_OUTPUT
    output = (tensor.astype(float) - zero) * scale
    assert ((output - values) ** 2).mean() == pytest.approx(expected, abs=0.0011)
    assert (output**2).mean() == pytest.approx(printed, abs=0.0011)


@pytest.mark.parametrize(
    ("image", "board", "said"),
    [
        (
            "v1.3_STMicroelectronics_NUCLEO_L4R5ZI-P_kws_performance.hex",
            "nucleo-u575zi-q",
            "loops on itself with interr",
        ),
        ("v1.1_bosch_DISCO_F746NG_kws_performance.bin", "nucleo-l4r5zi", "polls 0x4001101c, which stays 0x0"),
        ("v1.3_STMicroelectronics_NUCLEO_U575ZI_Q_kws_performance.hex", "nucleo-g0b1re", "stack pointer 0x200c0000"),
    ],
)
def test_image_on_another_board_is_diagnosed_in_seconds(
    firmware_folder: Path, image: str, board: str, said: str
) -> None:
    file = firmware_folder / image
    if not file.is_file():
        pytest.skip(f"needs {image} in EMULAB_FIRMWARE")
    platform = load_platform(board).platform
    with pytest.raises(EmulabError, match=said):
        session = load_backend("unicorn").open(
            platform, load_image(file, 0x08000000 if file.suffix == ".bin" else None), SessionOptions()
        )
        with session:
            DutClient(session.console, session.clock, limit_s=30.0).sync()
