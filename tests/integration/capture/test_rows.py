"""Cameras of one address are connected to in a row."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest

from contract.settings import Settings
from tests.integration.capture.conftest import Desk, picture, stream
from tests.integration.capture.http_camera import HttpCamera
from tests.servers import eventually


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"connects_per_second": 0.01})


def test_a_recorder_is_asked_for_a_few_cameras_at_once_and_others_are_not_held_up(
    desk: Desk, http_camera: HttpCamera, start_daemon: Callable[[], Event]
) -> None:
    http_camera.pictures = [picture(number) for number in range(4)]
    for i in range(6):
        desk.subscribe(f"d;{i}", stream(http_camera.url(f"/video.mjpeg?{i}")))
    start_daemon()
    eventually(lambda: http_camera.connections == 4)

    other = desk.subscribe("d;other", stream("synthetic://320x180@20"))
    eventually(lambda: desk.frame(other.source.cam))

    assert http_camera.connections == 4
