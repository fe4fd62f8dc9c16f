"""What a capture daemon keeps alive on the state server, and what it knows when the server has forgotten."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from capture import daemon
from contract.leases import SEQ_PER_FENCE
from tests.integration.capture.conftest import Desk, snapshot
from tests.integration.capture.http_camera import HttpCamera
from tests.servers import eventually

StartDaemon = Callable[[], threading.Event]


def test_the_password_of_a_camera_that_is_read_does_not_expire(
    desk: Desk, http_camera: HttpCamera, start_daemon: StartDaemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon, "_KEEP_S", 0.1)
    secret = desk.keys.secret(desk.subscribe("d;1", snapshot(http_camera.url("/s.jpg")), "me:secret").source.cam)
    desk.redis.expire(secret, 60)

    start_daemon()

    eventually(lambda: desk.redis.ttl(secret) > 60)
    assert desk.redis.get(secret) == b"me:secret"


def test_frames_are_newer_than_all_before_though_the_server_forgot_everything(
    desk: Desk, http_camera: HttpCamera, start_daemon: StartDaemon
) -> None:
    desk.redis.set(desk.keys.fence, 40)
    cam = desk.subscribe("d;1", snapshot(http_camera.url("/s.jpg"))).source.cam
    start_daemon()
    before = eventually(lambda: desk.frame(cam))
    assert before.seq // SEQ_PER_FENCE == 41

    desk.redis.flushall()
    desk.subscribe("d;1", snapshot(http_camera.url("/s.jpg")))

    assert eventually(lambda: desk.newer_than(41 * SEQ_PER_FENCE + 2**31, cam)).seq // SEQ_PER_FENCE > 41
