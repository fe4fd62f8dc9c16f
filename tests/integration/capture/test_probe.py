"""`detector probe`: what a camera is, without its password, or one sentence."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from capture.pictures import jpeg_size
from cli.main import app
from contract import settings as settings_of
from tests.integration.capture.conftest import picture
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import RtspCamera, encode
from tests.integration.capture.test_pictures import clip

SECRET = "s3cr3t-w0rd"


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings_of, "load", lambda: settings_of.Settings(media_dirs=(tmp_path,)))


@pytest.fixture
def camera() -> Iterator[RtspCamera]:
    """An RTSP camera with a key frame each 0.4 s."""
    options = {"x264-params": "repeat-headers=1:keyint=10:scenecut=0:bframes=0"}
    camera = RtspCamera(encode(640, 360, 40, options=options))
    camera.start()
    yield camera
    camera.stop()


def probed(*arguments: str, seconds: float = 1.0) -> dict[str, Any]:
    """Return what `detector probe --json` prints."""
    result = CliRunner().invoke(app, ["probe", *arguments, "--json", "--seconds", str(seconds)])
    assert result.exit_code == 0, result.output
    facts: dict[str, Any] = json.loads(result.stdout)
    return facts


def test_an_rtsp_camera_is_described(camera: RtspCamera, tmp_path: Path) -> None:
    facts = probed(f"{camera.url}#transport=udp", "--save", str(tmp_path / "seen.jpg"), seconds=1.5)

    assert (facts["codec"], facts["width"], facts["height"]) == ("h264", 640, 360)
    assert (facts["kind"], facts["transport"], facts["does"]) == ("stream", "udp", "decode all")
    assert 20 < facts["fps"] < 30
    assert facts["key_interval_s"] == pytest.approx(0.4, abs=0.05)
    assert 10 < facts["kbit_s"] < 10_000
    assert 0 < facts["first_ms"] < 5000
    assert 0 < facts["cpu"] < 1
    assert (facts["needs_credentials"], facts["flaw"], facts["wanted_fps"]) == (None, None, 10.0)
    assert jpeg_size((tmp_path / "seen.jpg").read_bytes()) == (640, 360)


def test_what_is_wanted_seldom_is_said_to_cost_key_frames_alone(camera: RtspCamera) -> None:
    assert probed(camera.url, "--fps", "1", seconds=1.8)["does"] == "key frames"


@pytest.mark.parametrize(("path", "kind"), [("/snapshot.jpg", "snapshot"), ("/video.mjpeg", "stream")])
def test_an_http_camera_is_described(http_camera: HttpCamera, path: str, kind: str) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]

    facts = probed(http_camera.url(path))

    assert (facts["kind"], facts["codec"], facts["width"], facts["does"]) == (kind, "jpeg", 320, "pass through")
    assert facts["key_interval_s"] is None
    assert (facts["fps"] > 15) is (kind == "stream")


def test_files_and_patterns_are_described(tmp_path: Path) -> None:
    (tmp_path / "film.ts").write_bytes(clip(0.6))
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "1.jpg").write_bytes(picture(1))

    assert probed("film.ts")["codec"] == "mpeg4"
    assert probed("set")["codec"] == "jpeg"
    pattern = probed("synthetic://320x180@20")
    assert (pattern["codec"], pattern["transport"], pattern["kbit_s"]) == ("raw", "synthetic", None)
    assert 15 < pattern["fps"] < 25


@pytest.mark.parametrize("asks", [True, False])
def test_whether_the_password_is_needed_is_said_and_the_password_is_not(http_camera: HttpCamera, asks: bool) -> None:
    http_camera.login = ("operator", SECRET) if asks else None
    url = http_camera.url("/snapshot.jpg").replace("://", f"://operator:{SECRET}@")

    result = CliRunner().invoke(app, ["probe", url, "--seconds", "0.5"])

    assert result.exit_code == 0
    assert "needed" in result.output
    assert ("not needed" in result.output) is not asks
    assert "320x180" in result.output
    assert SECRET not in result.output


def test_a_camera_that_refuses_is_one_sentence(http_camera: HttpCamera) -> None:
    http_camera.login = ("operator", "another")
    url = http_camera.url("/video.mjpeg").replace("://", f"://operator:{SECRET}@")

    result = CliRunner().invoke(app, ["probe", url])

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("detector: camera_unauthorized: the camera refuses the user name or password")
    assert len(result.stderr.splitlines()) == 1
    assert SECRET not in result.stderr


def test_a_camera_that_is_not_there_is_named_in_json() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    result = CliRunner().invoke(app, ["probe", f"rtsp://operator:{SECRET}@127.0.0.1:{port}/cam", "--json"])

    assert result.exit_code == 1
    assert json.loads(result.stdout)["code"] == "camera_unreachable"
    assert SECRET not in result.output


def test_a_picture_that_cannot_be_saved_is_one_sentence(http_camera: HttpCamera, tmp_path: Path) -> None:
    where = tmp_path / "missing" / "seen.jpg"

    result = CliRunner().invoke(
        app, ["probe", http_camera.url("/snapshot.jpg"), "--seconds", "0.5", "--save", str(where)]
    )

    assert result.exit_code == 1
    assert result.stderr == "detector: the picture cannot be saved (No such file or directory): seen.jpg\n"


def test_a_black_picture_is_seen(http_camera: HttpCamera) -> None:
    black = np.full((180, 320, 3), 8, np.uint8)
    http_camera.pictures = [cv2.imencode(".jpg", black)[1].tobytes()]

    assert probed(http_camera.url("/snapshot.jpg"), seconds=4.0)["flaw"] == "black"
