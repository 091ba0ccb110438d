"""Disturbances of sensors: colour and power of each noise, what moves in time, images, and what they are refused for."""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from emulab.errors import InputError
from emulab.quality import noise_sweep, open_dataset
from emulab.quality.background import read_background
from emulab.quality.disturbances import DISTURBANCES, Conditions, Kind, check_suits, perturb
from emulab.quality.noise import DEFAULT_SWEEP, Surroundings

RATE_HZ = 1000.0


def conditions(**given: object) -> Conditions:
    return Conditions(np.array([4.0, 1.0]), -1e9, 1e9, **{"sample_hz": RATE_HZ, **given})  # type: ignore[arg-type]


def noise(kind: Kind, n: int = 20_000, level: float = 0.0, **given: object) -> np.ndarray:
    """The pattern of *kind* on silence, (time, channel)."""
    return perturb(np.zeros((1, n, 2), np.float32), kind, level, np.random.default_rng(3), conditions(**given))[0]


@pytest.mark.parametrize("kind", ["snr_db", "pink_db", "brown_db", "hum_db", "impulse_db", "background_db"])
def test_power_is_what_was_asked_for(kind: Kind) -> None:
    recording = np.random.default_rng(0).standard_normal(50_000)
    for level in (0.0, 10.0):
        # many windows: the power of brown noise lies in a few lines, so that one window says little
        x = np.zeros((300, 500, 2), np.float32)
        rng = np.random.default_rng(5)
        found = [perturb(w[None], kind, level, rng, conditions(background=recording)) for w in x]
        power = np.mean(np.square(found), axis=(0, 1, 2))
        assert power == pytest.approx(np.array([4.0, 1.0]) * 10 ** (-level / 10), rel=0.12)


def slope_db_per_octave(x: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(x[:, 0])) ** 2
    octaves = [10 * np.log10(power[2**k : 2 ** (k + 1)].mean()) for k in range(3, 13)]
    return float(np.polyfit(np.arange(len(octaves)), octaves, 1)[0])


def test_colours_fall_as_they_should() -> None:
    assert slope_db_per_octave(noise("snr_db")) == pytest.approx(0, abs=0.5)
    assert slope_db_per_octave(noise("pink_db")) == pytest.approx(-3, abs=0.5)
    assert slope_db_per_octave(noise("brown_db")) == pytest.approx(-6, abs=0.5)


def test_hum_is_at_the_mains_and_impulses_are_rare() -> None:
    lines = np.abs(np.fft.rfft(noise("hum_db", 1000, hum_hz=60.0)[:, 0]))
    assert set(np.argsort(lines)[-3:]) == {60, 120, 180} and lines[60] == pytest.approx(2 * lines[120], rel=0.01)
    hit = noise("impulse_db").any(axis=1)
    assert hit.mean() == pytest.approx(0.01, abs=0.003)


def test_time_moves() -> None:
    x = np.arange(10.0, dtype=np.float32).reshape(1, 10, 1)
    rng, around = np.random.default_rng(0), conditions()
    assert perturb(x, "shift", 0.2, rng, around)[0, :, 0].tolist() == [0, 0, 0, 1, 2, 3, 4, 5, 6, 7]
    assert perturb(x, "shift", -0.2, rng, around)[0, :, 0].tolist() == [2, 3, 4, 5, 6, 7, 8, 9, 9, 9]
    assert perturb(x, "jitter", 0.0, rng, around) == pytest.approx(x)
    late = perturb(x, "jitter", 0.1, np.random.default_rng(1), around)[0, :, 0] - x[0, :, 0]
    assert 0 < np.abs(late).max() < 0.5  # a straight line taken at another time differs by that time
    ends = Conditions(np.ones(1), -20.0, 20.0, RATE_HZ)
    ramp = perturb(np.zeros((1, 5, 1), np.float32), "drift", 0.1, rng, ends)[0, :, 0]
    assert ramp == pytest.approx([0, 0.5, 1, 1.5, 2])
    assert np.abs(perturb(10 * x - 50, "clip", 0.5, rng, ends)).max() == 10


def test_images_blur_and_pale() -> None:
    image = np.zeros((1, 9, 9, 1), np.float32)
    image[0, 4, 4] = 1
    rng, around = np.random.default_rng(0), Conditions(np.ones(1), -1.0, 1.0)
    blurred = perturb(image, "blur", 1.0, rng, around)[0, :, :, 0]
    assert blurred.sum() == pytest.approx(1, abs=1e-3) and blurred == pytest.approx(blurred.T)
    assert blurred[4, 4] == pytest.approx(1 / (2 * np.pi), rel=0.01)
    assert perturb(image, "blur", 0.0, rng, around) == pytest.approx(image)
    pale = perturb(image, "contrast", 0.5, rng, around)
    assert pale.mean() == pytest.approx(image.mean()) and np.ptp(pale) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("kind", "shape", "said"),
    [
        ("blur", (64, 1, 1), "is of images"),
        ("pink_db", (49, 10, 1), "needs a signal over time"),
        ("background_db", (64, 1), "needs a recording"),
    ],
)
def test_what_makes_no_sense_of_the_samples(kind: Kind, shape: tuple[int, ...], said: str) -> None:
    with pytest.raises(InputError, match=said):
        check_suits(kind, shape, conditions())


def test_features_have_no_hum(har: Path) -> None:
    vibration = har.parent / "vibration-node"
    dataset = open_dataset(vibration / "eval.npz", model=vibration / "vibration_int8.tflite")
    with pytest.raises(InputError, match="sample_rate_hz"):
        noise_sweep(vibration / "vibration_int8.tflite", dataset, {"hum_db": [0]}, seed=0)


@pytest.mark.usefixtures("litert")
def test_every_kind_on_a_sensors_signal(har: Path, tmp_path: Path) -> None:
    model = har / "har_int8.tflite"
    dataset = open_dataset(har / "eval.npz", model=model)
    assert dataset.sample_hz == 50  # type: ignore[union-attr]
    file = tmp_path / "site.wav"
    write_wav(file, np.random.default_rng(1).integers(-3000, 3000, 16_000), 2, 8000)
    harmless = {"gain": 1.0, "clip": 1.0, "bits": 24.0}
    sweep: dict[Kind, list[float]] = {
        kind: [harmless.get(kind, 90.0 if found.unit == "dB" else 0.0)]
        for kind, found in DISTURBANCES.items()
        if found.needs != "image"
    }
    around = Surroundings(background=file)
    found = noise_sweep(model, dataset, sweep, seed=1, limit=60, surroundings=around)
    assert [curve.kind for curve in found.curves] == list(sweep)
    for curve in found.curves:  # a value halfway between two steps of the model's input may go either way
        assert curve.points[0].quality == pytest.approx(found.clean.quality, abs=2.5 / 60)
    strong = noise_sweep(model, dataset, {"brown_db": [-10], "clip": [0.05]}, seed=1, limit=60, surroundings=around)
    assert all(curve.points[0].quality < found.clean.quality - 0.1 for curve in strong.curves)
    assert set(DEFAULT_SWEEP) <= set(DISTURBANCES)


def write_wav(file: Path, samples: np.ndarray, width: int, rate: int, channels: int = 1) -> None:
    with wave.open(str(file), "wb") as out:
        out.setnchannels(channels)
        out.setsampwidth(width)
        out.setframerate(rate)
        raw = (samples.astype("<i4") << (32 - 8 * width)).astype("<i4")
        out.writeframes(raw.view(np.uint8).reshape(-1, 4)[:, 4 - width :].tobytes())


@pytest.mark.parametrize("width", [2, 3, 4])
def test_background_is_brought_to_the_sensors_rate(tmp_path: Path, width: int) -> None:
    t = np.arange(8000) / 8000
    tone = np.round(2 ** (8 * width - 3) * (np.sin(2 * np.pi * 100 * t) + np.sin(2 * np.pi * 3000 * t)))
    stereo = np.stack([tone, 0 * tone], axis=1).reshape(-1)
    write_wav(tmp_path / "a.wav", stereo, width, 8000, channels=2)
    found = read_background(tmp_path / "a.wav", 1000.0)
    assert len(found) == 1000 and (found**2).mean() == pytest.approx(1)
    lines = np.abs(np.fft.rfft(found))
    assert int(lines.argmax()) == 100 and np.sort(lines)[-2] < 1e-3 * lines.max()  # what lay above is filtered out


def test_backgrounds_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.wav").write_text("not a recording")
    write_wav(tmp_path / "silent.wav", np.zeros(100), 2, 8000)
    write_wav(tmp_path / "short.wav", np.arange(3), 2, 8000)
    for name, said in (("text", "not a WAV"), ("silent", "silent"), ("short", "at least 16"), ("absent", "not a WAV")):
        with pytest.raises(InputError, match=said):
            read_background(tmp_path / f"{name}.wav", 1000.0)
