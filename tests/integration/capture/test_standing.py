"""What a daemon's sign says of its cameras: how they are, since when, why, and soon."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event

import pytest
from redis import Redis

from capture.attempts import Trouble
from capture.reader import Condition
from capture.standing import Standings
from contract import camera_states, nodes
from contract.camera_states import CameraState
from contract.keys import Cam
from contract.problems import Code
from contract.subscriptions import CameraPlan, Wanted
from tests.integration.capture.conftest import Desk, snapshot
from tests.integration.capture.http_camera import HttpCamera
from tests.servers import eventually


def state(desk: Desk, cam: Cam) -> CameraState | None:
    return camera_states.of(nodes.read(desk.redis, desk.keys)).get(cam)


def test_a_sign_says_since_when_and_why_a_camera_is_away(
    desk: Desk, http_camera: HttpCamera, start_daemon: Callable[[], Event], monkeypatch: pytest.MonkeyPatch
) -> None:
    # After the first, signs are given for news alone.
    monkeypatch.setattr("contract.nodes.SIGN_S", 1e6)
    start_daemon()
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg")))
    cam = wanted.source.cam
    online = eventually(lambda: s if (s := state(desk, cam)) and s.plays else None)
    assert (online.state, online.code, online.reason, online.is_away) == ("online", None, None, False)
    assert 0 <= nodes.now_ms() - online.since_ms < 60_000

    stopped_ms = nodes.now_ms()
    http_camera.stop()
    away = eventually(lambda: s if (s := state(desk, cam)) and s.is_away else None, within_s=15)
    assert (away.code, away.state) == ("camera_unreachable", "waiting") or away.state == "connecting"
    assert away.reason
    # Since it is away, and not since that was told or since the last of several attempts.
    assert away.since_ms - stopped_ms < 1_500

    http_camera.start()
    again = eventually(lambda: s if (s := state(desk, cam)) and s.plays else None, within_s=15)
    assert again.since_ms > away.since_ms


@pytest.mark.usefixtures("daemon")
def test_a_sign_says_how_many_pictures_come(desk: Desk, redis: Redis, http_camera: HttpCamera) -> None:
    wanted = desk.subscribe("d;1", snapshot(http_camera.url("/snapshot.jpg"), interval_ms=100))

    found = eventually(lambda: s if (s := state(desk, wanted.source.cam)) and s.fps > 1 else None)

    assert found.fps < 20
    assert any(node.per_second > 0 for node in nodes.read(redis, desk.keys))


def test_a_reason_holds_no_password(desk: Desk) -> None:
    class Away:
        plan = Wanted(1, {"d;1": desk.subscribe("d;1", snapshot("http://camera/"))}).cameras.popitem()[1]
        condition = Condition("waiting", Trouble(Code.CAMERA_UNREACHABLE, "no rtsp://u:secret@host/"), 0.0)
        alive_s, published, running, lost = 0.0, 0, True, False

        def follow(self, plan: CameraPlan, fence: int) -> None: ...

        def stop(self) -> None: ...

        def abandon(self) -> None: ...

    standings = Standings()
    standings.follow(Away())

    [said] = standings.facts([Away()]).values()

    assert said["reason"] == "no rtsp://***@host/"
