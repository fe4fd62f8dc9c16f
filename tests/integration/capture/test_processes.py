"""Capture daemons as processes: they take over from each other, and end when told to."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from contract import leases
from contract.frames import Frame
from contract.keys import Cam, Keys
from tests.integration.capture.conftest import Desk, picture, stream
from tests.integration.capture.http_camera import HttpCamera
from tests.servers import RedisServer, eventually

#: A process that imports its libraries on a machine that has other things to do.
START_S = 30.0

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def start(server: RedisServer, keys: Keys, tmp_path: Path) -> Iterator[Start]:
    """Start `python -m capture`."""
    running = []
    root = Path(__file__).parents[3]
    env = os.environ | {"DETECTOR_STATE_URL": server.url, "DETECTOR_KEY_PREFIX": keys.prefix, "PYTHONPATH": str(root)}

    def begin() -> subprocess.Popen[bytes]:
        process = subprocess.Popen([sys.executable, "-m", "capture"], env=env, cwd=tmp_path, stderr=subprocess.PIPE)
        running.append(process)
        return process

    yield begin
    for process in running:
        process.kill()
        process.communicate()


@pytest.fixture
def playing(http_camera: HttpCamera) -> HttpCamera:
    """An MJPEG camera with pictures that change."""
    http_camera.pictures = [picture(number) for number in range(8)]
    return http_camera


def test_daemons_take_over_from_each_other(desk: Desk, playing: HttpCamera, start: Start) -> None:
    processes = [start(), start()]
    wanted = desk.subscribe("d;1", stream(playing.url("/video.mjpeg")))
    before = eventually(lambda: desk.frame(wanted.source.cam), START_S)
    eventually(lambda: desk.redis.zcard(desk.keys.nodes) == 2)
    first, second = sorted(processes, key=lambda process: not holds(desk, wanted.source.cam, process))

    first.send_signal(signal.SIGSTOP)
    after = eventually(lambda: of_another_holder(desk, before))
    first.send_signal(signal.SIGCONT)
    # It has seen that it lost the camera once it has closed its connection.
    eventually(lambda: playing.open == 1)
    later = eventually(lambda: desk.newer_than(after.seq + 3, wanted.source.cam))
    assert fence(later) == fence(after) > fence(before)

    second.kill()
    killed_s = time.monotonic()
    last = eventually(lambda: of_another_holder(desk, later))
    assert time.monotonic() - killed_s < leases.LEASE_MS / 1000 + 2
    assert fence(last) > fence(later)
    eventually(lambda: desk.seen(wanted) >= last.seq)
    assert playing.open == 1


def holds(desk: Desk, cam: Cam, process: subprocess.Popen[bytes]) -> bool:
    """Say whether the process holds the camera's lease; its number is part of every node's name."""
    lease: Any = desk.redis.hgetall(desk.keys.lease(cam))
    return any(f"-{process.pid}-" in value.decode() for value in lease.values())


def fence(frame: Frame) -> int:
    return frame.seq // leases.SEQ_PER_FENCE


def of_another_holder(desk: Desk, than: Frame) -> Frame | None:
    return desk.newer_than((fence(than) + 1) * leases.SEQ_PER_FENCE, than.cam)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_what_a_dead_or_stopped_daemon_started_ends_too(
    desk: Desk, playing: HttpCamera, start: Start, end: signal.Signals
) -> None:
    daemon = start()
    wanted = desk.subscribe("d;1", stream(playing.url("/video.mjpeg")))
    eventually(lambda: desk.frame(wanted.source.cam), START_S)
    started = psutil.Process(daemon.pid).children(recursive=True)
    assert started

    daemon.send_signal(end)

    eventually(lambda: playing.open == 0)
    if end == signal.SIGKILL:
        eventually(lambda: not any(process.is_running() for process in started))


def test_they_end_in_good_order_when_told_to(desk: Desk, playing: HttpCamera, start: Start) -> None:
    terminated, interrupted = start(), start()
    wanted = desk.subscribe("d;1", stream(playing.url("/video.mjpeg")))
    eventually(lambda: desk.frame(wanted.source.cam), START_S)
    eventually(lambda: desk.redis.zcard(desk.keys.nodes) == 2)

    terminated.send_signal(signal.SIGTERM)
    interrupted.send_signal(signal.SIGINT)

    assert terminated.wait(9) == 0
    assert interrupted.wait(9) == 0
    assert playing.open == 0
    assert not desk.redis.exists(desk.keys.lease(wanted.source.cam))
    assert desk.redis.zcard(desk.keys.nodes) == 0


def test_a_setting_that_makes_no_sense_ends_it_with_one_line() -> None:
    env = os.environ | {"DETECTOR_JPEG_QUALITY": "best"}
    command = [sys.executable, "-m", "capture"]

    ended = subprocess.run(command, env=env, capture_output=True, timeout=20, check=False)

    assert ended.returncode == 2
    assert ended.stderr.decode().count("\n") == 1
    assert b"DETECTOR_JPEG_QUALITY" in ended.stderr


def test_a_daemon_that_returns_waits_as_long_as_the_former_would_have(
    desk: Desk, http_camera: HttpCamera, start: Start
) -> None:
    http_camera.login = ("operator", "secret")
    wanted = desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")), credentials="operator:wrong")
    daemon = start()
    eventually(lambda: desk.redis.exists(desk.keys.backoff(wanted.source.cam)), START_S)
    asked = http_camera.requests

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(9) == 0
    other = desk.subscribe("d;2", stream("synthetic://320x180@20"))
    start()
    eventually(lambda: desk.frame(other.source.cam), START_S)
    eventually(lambda: desk.redis.exists(desk.keys.lease(wanted.source.cam)))

    assert http_camera.requests == asked
    desk.subscribe("d;1", stream(http_camera.url("/video.mjpeg")), credentials="operator:secret")
    eventually(lambda: desk.frame(wanted.source.cam))
    eventually(lambda: not desk.redis.exists(desk.keys.backoff(wanted.source.cam)))
