"""A camera in trouble is told of once, its return too, and no other camera notices."""

from __future__ import annotations

import logging
import socket

import pytest

from contract import leases
from contract.clients import connect
from contract.problems import Code
from tests.integration.capture.conftest import Desk, picture, snapshot, stream
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import RtspCamera
from tests.servers import RedisServer, eventually

pytestmark = pytest.mark.usefixtures("daemon")

SECRET = "s3cr3t-w0rd"


@pytest.fixture
def nobody() -> str:
    """host:port where nobody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"127.0.0.1:{listener.getsockname()[1]}"


def test_each_dead_camera_is_told_of_once_and_the_others_keep_running(
    desk: Desk, http_camera: HttpCamera, rtsp_camera: RtspCamera, nobody: str
) -> None:
    rtsp_camera.refusal = "401 Unauthorized"
    wanted = desk.subscribe("d;well", stream("synthetic://320x180@20"))
    desk.subscribe("d;401", stream(rtsp_camera.url))
    desk.subscribe("d;404", stream(http_camera.url("/video.mjpeg")))
    desk.subscribe("d;nobody-rtsp", stream(f"rtsp://{nobody}/cam"))
    desk.subscribe("d;nobody-http", snapshot(f"http://{nobody}/snapshot.jpg"))
    desk.subscribe("d;strange", stream("gopher://camera/"))
    desk.subscribe("d;no-file", stream("file:///etc/passwd"))
    http_camera.status = 404

    eventually(lambda: len(desk.problems()) >= 6)
    first = eventually(lambda: desk.frame(wanted.source.cam))
    eventually(lambda: desk.newer_than(first.seq + 10, wanted.source.cam))

    assert {p.subscription: p.code for p in desk.problems()} == {
        "d;401": Code.CAMERA_UNAUTHORIZED,
        "d;404": Code.CAMERA_UNREACHABLE,
        "d;nobody-rtsp": Code.CAMERA_UNREACHABLE,
        "d;nobody-http": Code.CAMERA_UNREACHABLE,
        "d;strange": Code.CAMERA_UNSUPPORTED,
        "d;no-file": Code.CAMERA_UNSUPPORTED,
    }
    assert len(desk.problems()) == 6


@pytest.mark.parametrize("kind", ["rtsp", "mjpeg"])
def test_a_camera_that_dies_and_returns_is_told_of_twice(
    desk: Desk, http_camera: HttpCamera, rtsp_camera: RtspCamera, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.attempts.BRIEF_S", 0.3)
    camera = rtsp_camera if kind == "rtsp" else http_camera
    wanted = desk.subscribe("d;1", stream(rtsp_camera.url if kind == "rtsp" else http_camera.url("/video.mjpeg")))
    before = eventually(lambda: desk.frame(wanted.source.cam))

    camera.stop()
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNREACHABLE])
    camera.start()

    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNREACHABLE, Code.CAMERA_RECOVERED], within_s=15)
    eventually(lambda: desk.newer_than(before.seq + 5, wanted.source.cam))


def test_a_brief_absence_is_nobodys_business(
    desk: Desk, http_camera: HttpCamera, caplog: pytest.LogCaptureFixture
) -> None:
    wanted = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")))
    eventually(lambda: desk.frame(wanted.source.cam))

    http_camera.stop()
    # Longer than the daemon takes to see it, shorter than what is told of.
    eventually(lambda: caplog.text.count("next attempt") >= 4)
    http_camera.start()
    eventually(lambda: http_camera.connections == 2)
    after = eventually(lambda: desk.frame(wanted.source.cam))
    eventually(lambda: desk.newer_than(after.seq + 5, wanted.source.cam))

    assert desk.problems() == []


def test_a_camera_that_falls_silent_is_stalled_until_it_plays_again(desk: Desk, rtsp_camera: RtspCamera) -> None:
    wanted = desk.subscribe("d;1", stream(rtsp_camera.url))
    eventually(lambda: desk.frame(wanted.source.cam))

    rtsp_camera.silent = True
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_STALLED])
    rtsp_camera.silent = False

    eventually(lambda: desk.codes("d;1")[-1] == Code.CAMERA_RECOVERED, within_s=15)


def test_who_subscribes_to_a_dead_camera_later_is_told_too(desk: Desk, nobody: str) -> None:
    desk.subscribe("d;1", stream(f"rtsp://{nobody}/cam"))
    eventually(lambda: desk.codes("d;1"))

    desk.subscribe("e;1", stream(f"rtsp://{nobody}/cam"))

    eventually(lambda: desk.codes("e;1") == [Code.CAMERA_UNREACHABLE])
    assert desk.codes("d;1") == [Code.CAMERA_UNREACHABLE]


@pytest.mark.parametrize("scheme", ["basic", "digest"])
def test_the_right_password_opens_the_camera_and_is_seen_nowhere(
    desk: Desk, http_camera: HttpCamera, caplog: pytest.LogCaptureFixture, scheme: str
) -> None:
    caplog.set_level(logging.DEBUG)
    http_camera.login, http_camera.scheme = ("operator", SECRET), scheme
    source = snapshot(http_camera.url("/snapshot.jpg"))
    desk.subscribe("d;1", source, credentials="operator:wrong")
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNAUTHORIZED])

    desk.subscribe("d;1", source, credentials=f"operator:{SECRET}")

    # At once, and not after the half minute that a camera which refuses is left alone.
    eventually(lambda: desk.frame(source.cam), within_s=2)
    assert SECRET not in caplog.text
    assert not any(SECRET in problem.text for problem in desk.problems())


def test_a_password_is_in_no_message_of_a_stream_that_fails(
    desk: Desk, nobody: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    desk.subscribe("d;1", stream(f"rtsp://{nobody}/cam"), credentials=f"operator:{SECRET}")
    desk.subscribe("d;2", stream(f"http://{nobody}/cam"), credentials=f"operator:{SECRET}")
    eventually(lambda: desk.codes("d;1") and desk.codes("d;2"))

    assert "next attempt" in caplog.text
    assert SECRET not in caplog.text
    assert not any(SECRET in problem.text for problem in desk.problems())


def test_a_redirect_is_followed_but_takes_no_password_along(desk: Desk, http_camera: HttpCamera) -> None:
    front = HttpCamera([])
    front.start()
    front.redirect, http_camera.login = http_camera.url("/snapshot.jpg"), ("operator", SECRET)

    desk.subscribe("d;1", snapshot(front.url("/moved.jpg")), credentials=f"operator:{SECRET}")
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNAUTHORIZED])
    front.stop()

    assert http_camera.requests > 0
    assert http_camera.heard == []


def test_a_camera_that_dribbles_is_not_waited_for(desk: Desk, http_camera: HttpCamera) -> None:
    http_camera.dribbling = True

    desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg")))

    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNREACHABLE])


def test_a_reader_that_hangs_is_replaced(desk: Desk, rtsp_camera: RtspCamera, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = desk.subscribe("d;1", stream(rtsp_camera.url))
    before = eventually(lambda: desk.frame(wanted.source.cam))
    marked = eventually(lambda: desk.seen(wanted))

    # Shorter than the camera's read timeout: as if that had not worked.
    monkeypatch.setattr("capture.daemon.HANGS_S", 0.2)
    rtsp_camera.silent = True
    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_STALLED])
    assert "anew" in desk.problems()[0].text
    monkeypatch.undo()
    rtsp_camera.silent = False

    eventually(lambda: desk.codes("d;1")[-1] == Code.CAMERA_RECOVERED)
    after = eventually(lambda: desk.newer_than(before.seq, wanted.source.cam))
    # A fencing number of its own: however long the first one had played, what the second says is newer.
    assert after.seq // leases.SEQ_PER_FENCE > before.seq // leases.SEQ_PER_FENCE
    eventually(lambda: desk.seen(wanted) > marked)
    eventually(lambda: rtsp_camera.open == 1)


def test_what_is_no_picture_is_unsupported(desk: Desk, http_camera: HttpCamera) -> None:
    http_camera.pictures = [b"<html>a login page</html>"]

    desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg")))

    eventually(lambda: desk.codes("d;1") == [Code.CAMERA_UNSUPPORTED])


def test_readers_outlive_the_server(desk: Desk, http_camera: HttpCamera, server: RedisServer) -> None:
    http_camera.pictures = [picture(number) for number in range(8)]
    source = stream(http_camera.url("/video.mjpeg"))
    desk.subscribe("d;1", source)
    eventually(lambda: desk.frame(source.cam))

    server.kill()
    server.start()
    with connect(server.url, "again") as client:
        desk = Desk(client, desk.keys)
        desk.subscribe("d;1", source)
        eventually(lambda: desk.frame(source.cam))

    assert http_camera.connections == 1


def test_who_stops_wanting_a_camera_lets_its_failures_be_forgotten(desk: Desk, nobody: str) -> None:
    wanted = desk.subscribe("d;1", stream(f"rtsp://{nobody}/cam"))
    eventually(lambda: desk.redis.exists(desk.keys.backoff(wanted.source.cam)))

    desk.unsubscribe("d;1")

    eventually(lambda: not desk.redis.exists(desk.keys.backoff(wanted.source.cam)))
