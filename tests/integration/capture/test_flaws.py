"""A camera that shows nothing: who watches it is told, and a setting decides whether anything is detected in it."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import cv2
import numpy as np
import pytest

from contract import camera_states, nodes
from contract.problems import Code
from contract.settings import Settings
from contract.subscriptions import Subscription
from tests.integration.capture.conftest import Desk, picture, snapshot
from tests.integration.capture.http_camera import HttpCamera
from tests.servers import eventually

BLACK = [cv2.imencode(".jpg", np.full((180, 320, 3), level, np.uint8))[1].tobytes() for level in (8, 12)]


@pytest.fixture(params=["report", "suppress"])
def settings(settings: Settings, request: pytest.FixtureRequest) -> Settings:
    return settings.model_copy(update={"flawed_images": request.param})


def state(desk: Desk, wanted: Subscription) -> str | None:
    """Return the camera's state in the daemon's sign."""
    found = camera_states.of(nodes.read(desk.redis, desk.keys)).get(wanted.source.cam)
    return found.state if found else None


def test_a_black_camera_is_told_of_until_it_sees_again(
    desk: Desk, http_camera: HttpCamera, settings: Settings, start_daemon: Callable[[], Event]
) -> None:
    start_daemon()
    http_camera.pictures = BLACK[:1]
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg")))

    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_IMAGE])
    eventually(lambda: state(desk, wanted) == "black")
    before, stored = desk.seen(wanted), desk.frame(wanted.source.cam)
    assert stored is not None
    http_camera.pictures = BLACK[1:]
    asked = http_camera.requests
    eventually(lambda: desk.newer_than(stored.seq, wanted.source.cam) and http_camera.requests > asked + 5)
    assert (desk.seen(wanted) > before) is (settings.flawed_images == "report")

    http_camera.pictures = [picture(1)]
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_IMAGE, Code.CAMERA_RECOVERED])
    eventually(lambda: state(desk, wanted) == "online")
    http_camera.pictures = [picture(2)]
    eventually(lambda: desk.seen(wanted) > before)
