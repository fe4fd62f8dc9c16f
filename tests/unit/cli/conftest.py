"""The demo's package, whole and unpacked, and `detector mpta` as a function."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeAlias

import cv2
import pytest
from typer.testing import CliRunner, Result

from cli.demo import PACKAGE
from cli.main import app
from contract import settings
from mpta import Image
from simulator.scene import Scene

Command: TypeAlias = Callable[..., Result]
#: Seed and second of a camera that sees two cars.
SEED, SECOND = 2, 20.0


@pytest.fixture(autouse=True)
def single_threaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Test processes share few cores: a forward pass takes one. No .env of this folder counts."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTOR_TORCH_THREADS", "1")
    monkeypatch.setenv("DETECTOR_DEVICE", "cpu")
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


@pytest.fixture
def mpta_command() -> Command:
    """Run `detector mpta …` in this process."""

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(app, ["mpta", *map(str, arguments)])

    return run


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The demo's package as a folder, to be changed at will."""
    home = tmp_path / "forecourt"
    with zipfile.ZipFile(PACKAGE) as archive:
        archive.extractall(home)
    return home


def change(folder: Path, edit: Callable[[dict[str, Any]], object]) -> Path:
    """Edit a folder's pipeline.json; return the folder."""
    file = folder / "pipeline.json"
    document = json.loads(file.read_text())
    edit(document)
    file.write_text(json.dumps(document))
    return folder


@pytest.fixture(scope="session")
def frames() -> list[Image]:
    """Four pictures of a forecourt, a tenth of a second apart."""
    scene = Scene(SEED)
    return [scene.at(SECOND + i / 10)[0] for i in range(4)]


@pytest.fixture(scope="session")
def pictures(frames: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of two pictures, and a file that is none."""
    home = tmp_path_factory.mktemp("pictures")
    for name, frame in zip(("a.jpg", "b.png"), frames, strict=False):
        cv2.imwrite(str(home / name), frame)
    (home / "notes.txt").write_text("not a picture")
    return home


@pytest.fixture(scope="session")
def film(frames: list[Image], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The pictures as a video of 10 frames per second."""
    from cli.packages.footage import Shot
    from cli.packages.saving import VideoSink

    path = tmp_path_factory.mktemp("film") / "film.mp4"
    sink = VideoSink(path, 10.0)
    for number, frame in enumerate(frames):
        sink.put(Shot(frame, "", number / 10), frame)
    sink.close()
    return path
