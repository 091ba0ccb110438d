"""Models and inputs that do not ship with emulab: where they are looked up, and how they are pulled.

A scenario names such a file ``asset:PATH``. It is looked up in ``EMULAB_ASSETS`` (a folder the user has), then in
the cache that ``emulab assets pull`` fills from the upstream, at a pinned commit and with its sha256.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from emulab.errors import InputError, ToolError

MLCOMMONS_COMMIT = "1afd2c9820f795965a6134facd0b4dfae41ef23f"
MLCOMMONS_BASE = f"https://raw.githubusercontent.com/mlcommons/tiny/{MLCOMMONS_COMMIT}/benchmark/training/"


@dataclass(frozen=True, slots=True)
class Asset:
    """One file of an upstream: path under the assets folder, upstream path, sha256, licence."""

    path: str
    upstream: str
    sha256: str
    licence: str = "Apache-2.0"


_MODELS = {
    "ad01_fp32.tflite": ("anomaly_detection", "c66636f4d7f8af8b10518e7be750a22c9d8d46ec97326b40b0d94c097e0aad9b"),
    "ad01_int8.tflite": ("anomaly_detection", "87cf24194ef93d1d9b11a591d805526b98008e351655d29883c825c9c106ba24"),
    "kws_ref_model.tflite": ("keyword_spotting", "aeea436800704fce17b17292e4412630ad856e9d777c044c64ef748a880bd0ae"),
    "kws_ref_model_float32.tflite": (
        "keyword_spotting",
        "e5004c6f1012246e33fa068d8488325538e0444073cd361f5a7edb40c73f12d2",
    ),
    "pretrainedResnet.tflite": (
        "image_classification",
        "b5c0046d6e0328b4956afd6baa29555a29b1f1c65bdd45aaed75b7cd484d9f79",
    ),
    "pretrainedResnet_quant.tflite": (
        "image_classification",
        "3c002613d1b2475eb51dd78dfb85a546c8ae658dee71cf6ade43b022fe205415",
    ),
    "str_ww_ref_model.tflite": (
        "streaming_wakeword",
        "3af8550895ba7d5c584277102b5075c52dcfa63ba9d2b2240f37c4e6abd5dd2b",
    ),
    "vww_96_float.tflite": ("visual_wake_words", "115bbc094d2119561320a21f01b6500a18bea8cc8589282ab007097bec8af38c"),
    "vww_96_int8.tflite": ("visual_wake_words", "597a384c8c2c8a1276f04702f25013b7838f2f814f1ca7c174d295b73e3d6b7b"),
}

ASSETS: dict[str, Asset] = {
    f"mlperf-tiny/models/{name}": Asset(f"mlperf-tiny/models/{name}", f"{folder}/trained_models/{name}", sha256)
    for name, (folder, sha256) in _MODELS.items()
}


SHORT_WAV = "mlperf-tiny/eval/sww01/short_wav_easy10s.wav"
ASSETS[SHORT_WAV] = Asset(
    SHORT_WAV,
    "streaming_wakeword/short_wav_easy10s.wav",
    "741ab419e46087ce1b738b23ca12c0633e796234f81673c7554629c38a4b708a",
    "CC-BY-4.0 (Speech Commands; MUSAN)",
)

PACKAGES = {"pymicro_wakeword": "pip install 'emulab[wake-word]' (pymicro-wakeword)"}
"""How to get a package that a scenario takes a file from."""


def pulled_folder() -> Path:
    """Folder that ``emulab assets pull`` fills."""
    from emulab.cache import cache_dir

    return cache_dir() / "assets"


def folders() -> list[Path]:
    """Where assets are looked up, the user's folder first."""
    given = os.environ.get("EMULAB_ASSETS", "")
    return [*(Path(p) for p in given.split(os.pathsep) if p), pulled_folder()]


def find(path: str) -> Path | None:
    """The asset's file or folder, or None."""
    return next((folder / path for folder in folders() if os.path.exists(folder / path)), None)


def resolve(path: str, base: Path, what: str) -> Path:
    """Resolve a path of a scenario file; InputError when absent.

    ``asset:PATH``, ``package:NAME/PATH`` (a file of an installed Python package), absolute, or relative to *base*.
    """
    if path.startswith("package:"):
        return _in_package(path.removeprefix("package:"), what)
    if path.startswith("asset:"):
        name = path.removeprefix("asset:")
        found = find(name)
        if found is not None:
            return found
        hint = (
            f"fetch it with: emulab assets pull {name}"
            if name in ASSETS
            else "set EMULAB_ASSETS to a folder that holds it"
        )
        raise InputError(f"{what}: asset {name!r} is not here; {hint}")
    file = Path(path) if Path(path).is_absolute() else base / path
    if "\0" in path or not file.exists():
        raise InputError(f"{what}: {file}: no such file")
    if not path or not (file.is_file() or file.is_dir()):
        raise InputError(f"{what}: {path!r} is not an ordinary file")
    return file


def _in_package(path: str, what: str) -> Path:
    """A file of an installed package, which is not imported for it."""
    from importlib.util import find_spec

    name, _, rest = path.partition("/")
    try:
        spec = find_spec(name)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        hint = PACKAGES.get(name, f"pip install {name}")
        raise InputError(f"{what}: the package {name!r} is not installed; install it with: {hint}")
    file = Path(next(iter(spec.submodule_search_locations))) / rest
    if ".." in Path(rest).parts or not file.is_file():
        raise InputError(f"{what}: the package {name!r} has no file {rest!r}")
    return file


def pull(names: list[str], base_url: str = MLCOMMONS_BASE, timeout_s: float = 60.0) -> list[Path]:
    """Fetch assets into the cache, checked against their sha256.

    InputError when *base_url* is no http address; ToolError when the upstream cannot be reached, sends something else, or
    the cache cannot be written.
    """
    import pooch
    import requests

    if not base_url.lower().startswith(("http://", "https://")):
        raise InputError(f"--from {base_url}: expected an address that begins with https:// or http://")
    pooch.get_logger().setLevel("ERROR")  # our own lines say what is to be said
    files = []
    for name in names or list(ASSETS):
        asset = ASSETS.get(name)
        if asset is None:
            raise InputError(f"asset {name!r} is unknown; see: emulab assets list")
        target = pulled_folder() / asset.path
        try:
            files.append(
                Path(
                    pooch.retrieve(
                        base_url + asset.upstream,
                        known_hash=f"sha256:{asset.sha256}",
                        fname=target.name,
                        path=target.parent,
                        downloader=pooch.HTTPDownloader(timeout=timeout_s, progressbar=False),
                    )
                )
            )
        except (
            requests.exceptions.RequestException
        ) as error:  # before the next two: some are ValueError, all are OSError
            status = getattr(error.response, "status_code", None)
            reason = f"HTTP status {status}" if status else type(error).__name__
            raise ToolError(
                f"asset {name}: upstream cannot be reached ({reason}); or set EMULAB_ASSETS to a copy"
            ) from None
        except ValueError as error:
            raise ToolError(f"asset {name}: what came does not match its sha256; nothing was kept ({error})") from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise ToolError(f"{target}: cannot be written: {reason}; set EMULAB_CACHE to another folder") from None
    return files
