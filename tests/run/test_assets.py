"""Assets: looked up in the user's folder, pulled from an upstream with their sha256 checked."""

from __future__ import annotations

import hashlib
import shutil
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from emulab.cli import main
from emulab.errors import InputError, ToolError
from emulab.run import assets

NAME = "mlperf-tiny/models/kws_ref_model.tflite"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        return None


@pytest.fixture
def upstream(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    root = tmp_path / "upstream"
    root.mkdir()
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(root)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/", root
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMULAB_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("EMULAB_ASSETS", raising=False)
    return tmp_path / "cache"


def serve(root: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, sha256: str | None = None) -> None:
    asset = assets.ASSETS[NAME]
    file = root / asset.upstream
    file.parent.mkdir(parents=True)
    file.write_bytes(content)
    known = assets.Asset(asset.path, asset.upstream, sha256 or hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(assets.ASSETS, NAME, known)


def test_pull_checks_and_find_finds(
    upstream: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    base, root = upstream
    serve(root, b"model", monkeypatch)
    assert assets.find(NAME) is None
    assert main(["assets", "pull", NAME, "--from", base]) == 0
    assert capsys.readouterr().out.strip().endswith(NAME)
    assert assets.resolve(f"asset:{NAME}", Path(), "model").read_bytes() == b"model"


def test_wrong_content_is_refused_and_not_kept(
    upstream: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    base, root = upstream
    serve(root, b"tampered", monkeypatch, sha256="0" * 64)
    with pytest.raises(ToolError, match="does not match its sha256"):
        assets.pull([NAME], base)
    assert assets.find(NAME) is None
    assert not [f for f in own_cache.rglob("*") if f.is_file()]


def test_no_upstream_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["assets", "pull", NAME, "--from", "http://127.0.0.1:9/"]) == 3
    error = capsys.readouterr().err
    assert "upstream cannot be reached" in error and error.count("\n") == 1


def test_what_is_no_address_and_what_is_no_folder_are_not_blamed_on_the_upstream(
    upstream: tuple[str, Path], monkeypatch: pytest.MonkeyPatch, own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["assets", "pull", NAME, "--from", "mirror/models"]) == 2
    assert "--from mirror/models/: expected an address" in capsys.readouterr().err
    base, root = upstream
    assert main(["assets", "pull", NAME, "--from", base + "nowhere"]) == 3
    assert "upstream cannot be reached (HTTP status 404)" in capsys.readouterr().err
    serve(root, b"model", monkeypatch)
    shutil.rmtree(own_cache / "assets")
    (own_cache / "assets").write_text("a file where the folder should be")
    assert main(["assets", "pull", NAME, "--from", base]) == 3
    error = capsys.readouterr().err
    assert "cannot be written" in error and "EMULAB_CACHE" in error and "upstream" not in error


def test_resolve_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match=f"emulab assets pull {NAME}"):
        assets.resolve(f"asset:{NAME}", tmp_path, "workload.model")
    with pytest.raises(InputError, match="set EMULAB_ASSETS"):
        assets.resolve("asset:own/file", tmp_path, "workload.model")
    with pytest.raises(InputError, match="no such file"):
        assets.resolve("absent.tflite", tmp_path, "workload.model")
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "file").touch()
    monkeypatch.setenv("EMULAB_ASSETS", str(tmp_path))
    assert assets.resolve("asset:own/file", tmp_path, "x") == tmp_path / "own" / "file"
    with pytest.raises(InputError, match="is unknown"):
        assets.pull(["nothing"])
