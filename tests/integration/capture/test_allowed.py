"""Cameras whose host is not allowed: refused when they are opened, however they got so far."""

from __future__ import annotations

from contextlib import closing

import pytest

from capture.errors import SourceLost, SourceRefused
from capture.sources.opening import make_source
from capture.sources.source import Opening
from contract.problems import Code
from contract.settings import Settings
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import RtspCamera


def open_one(settings: Settings, url: str, kind: str = "stream") -> None:
    """Take one picture of a camera."""
    opening = Opening(url, settings, lambda: "", lambda: 0.1, lambda _: False)
    with closing(make_source(kind, opening).pictures()) as pictures:
        next(pictures)


def limited(settings: Settings, *hosts: str) -> Settings:
    return settings.model_copy(update={"camera_hosts": hosts})


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_an_rtsp_camera_is_judged_by_its_address(settings: Settings, rtsp_camera: RtspCamera, host: str) -> None:
    url = rtsp_camera.url.replace("127.0.0.1", host)

    with pytest.raises(SourceRefused) as caught:
        open_one(limited(settings, "10.0.0.0/8"), url)

    assert caught.value.code == Code.URL_NOT_ALLOWED
    open_one(limited(settings, "127.0.0.0/8"), url)


@pytest.mark.parametrize(("path", "kind"), [("/snapshot.jpg", "snapshot"), ("/video.mjpeg", "stream")])
def test_an_http_camera_is_judged_where_it_redirects_to(
    settings: Settings, http_camera: HttpCamera, path: str, kind: str
) -> None:
    only_here = limited(settings, "127.0.0.1")
    open_one(only_here, http_camera.url(path), kind)
    http_camera.redirect = f"http://127.0.0.2:1{path}"

    with pytest.raises(SourceRefused) as caught:
        open_one(only_here, http_camera.url(path), kind)

    assert caught.value.code == Code.URL_NOT_ALLOWED


def test_a_name_without_an_address_is_said_as_such(settings: Settings) -> None:
    with pytest.raises(SourceLost, match="the camera's host has no address"):
        open_one(settings, "rtsp://camera.invalid/live")
