"""Cameras on loopback, subscriptions to them, and capture daemons that read them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import cv2
import pytest
from redis import Redis

from capture.cell import Cell
from capture.daemon import Daemon
from capture.publishing import Servers
from capture.sources.synthetic import paint
from contract import clients, frames, problems, subscriptions
from contract.frames import Frame
from contract.keys import Cam, Keys, PipelineId
from contract.problems import Problem
from contract.settings import Settings
from contract.subscriptions import Source, Subscription
from contract.work import Wake
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import RtspCamera, encode
from tests.servers import RedisServer


def picture(number: int, width: int = 320, height: int = 180) -> bytes:
    """Return a JPEG picture that carries `number`."""
    return cv2.imencode(".jpg", paint(number, width, height))[1].tobytes()


class Desk:
    """Subscribes as the gateway would, and reads what capture writes."""

    def __init__(self, redis: Redis, keys: Keys) -> None:
        self.redis, self.keys = redis, keys
        self._revision = 0

    def subscribe(self, name: str, source: Source, credentials: str = "", **fields: Any) -> Subscription:
        """Start or replace the subscription `name`."""
        self._revision += 1
        display, _, camera = name.partition(";")
        options: dict[str, Any] = {"model_url": "models/m.mpta", "model_id": 1, "model_name": "m", "fps": 10.0} | fields
        subscription = Subscription(
            id=name, display=display, camera=camera, source=source, revision=self._revision, **options
        )
        pipe = self.redis.pipeline()
        subscriptions.put(pipe, self.keys, subscription, credentials)
        pipe.execute()
        return subscription

    def unsubscribe(self, name: str) -> None:
        """End the subscription `name`."""
        pipe = self.redis.pipeline()
        subscriptions.remove(pipe, self.keys, [name])
        pipe.execute()

    def frame(self, cam: Cam) -> Frame | None:
        """Return the camera's newest frame."""
        return frames.get_many(self.redis, self.keys, [cam])[0]

    def newer_than(self, seq: int, cam: Cam) -> Frame | None:
        """Return the camera's newest frame if its seq is greater."""
        frame = self.frame(cam)
        return frame if frame is not None and frame.seq > seq else None

    def seen(self, subscription: Subscription) -> int:
        """Return the newest seq that the subscription's group was marked with, 0 for none."""
        seen: Any = self.redis.hget(self.keys.group(subscription.group), "seen")
        return int(seen or 0)

    def problems(self) -> list[Problem]:
        """Return all that subscribers were told so far."""
        entries: Any = self.redis.xrange(self.keys.problems)
        return [problems.decode(self.keys, fields) for _, fields in entries]

    def codes(self, name: str) -> list[str]:
        """Return the codes that the subscription `name` was told so far."""
        return [problem.code for problem in self.problems() if problem.subscription == name]


@pytest.fixture
def desk(redis: Redis, keys: Keys) -> Desk:
    """Subscriptions and frames of the emptied server."""
    return Desk(redis, keys)


@pytest.fixture
def settings(server: RedisServer, tmp_path: Path) -> Settings:
    """Settings with short timeouts."""
    return Settings(
        state_url=server.url,
        key_prefix="t:",
        media_dirs=(tmp_path,),
        connect_timeout_seconds=2,
        read_timeout_seconds=1,
        reconnect_interval_seconds=0.1,
    )


@pytest.fixture
def woken() -> list[PipelineId]:
    """The pipelines that were woken, in order."""
    return []


@pytest.fixture
def start_daemon(
    server: RedisServer, keys: Keys, settings: Settings, woken: list[PipelineId]
) -> Iterator[Callable[[], threading.Event]]:
    """Start a capture daemon in this process; what it returns stops it when set."""
    running: list[tuple[threading.Thread, threading.Event]] = []

    def wake(wakes: Mapping[PipelineId, Wake]) -> None:
        woken.extend(pipeline for pipeline, how in wakes.items() if how is not Wake.NO)

    with clients.connect(server.url, "t-state") as state, clients.connect(server.url, "t-frames") as frames_server:

        def start() -> threading.Event:
            stop = threading.Event()
            cell = Cell(settings, state, Servers(frames_server, state, keys, wake))
            daemon = Daemon(settings, state, keys, cell)
            thread = threading.Thread(target=daemon.run, args=(stop,))
            thread.start()
            running.append((thread, stop))
            return stop

        yield start
        for _, stop in running:
            stop.set()
        for thread, _ in running:
            thread.join(10)
            assert not thread.is_alive()


@pytest.fixture
def daemon(start_daemon: Callable[[], threading.Event]) -> threading.Event:
    """A running capture daemon."""
    return start_daemon()


@pytest.fixture
def http_camera() -> Iterator[HttpCamera]:
    """An HTTP camera that shows one picture."""
    camera = HttpCamera([picture(1)])
    camera.start()
    yield camera
    camera.stop()


@pytest.fixture(scope="session")
def rtsp_frames() -> list[list[bytes]]:
    """Four seconds of 640x360."""
    return encode(640, 360, 100)


@pytest.fixture
def rtsp_camera(rtsp_frames: list[list[bytes]]) -> Iterator[RtspCamera]:
    """An RTSP camera."""
    camera = RtspCamera(rtsp_frames)
    camera.start()
    yield camera
    camera.stop()


def stream(url: str) -> Source:
    """Return the source of a stream."""
    return Source(url=url, kind="stream")


def snapshot(url: str, interval_ms: int = 100) -> Source:
    """Return the source of a snapshot camera."""
    return Source(url=url, kind="snapshot", interval_ms=interval_ms)
