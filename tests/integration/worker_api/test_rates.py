"""What a CMS is told of how its subscriptions fare: on a real gateway, with a camera, a capture daemon, and results."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from redis import Redis

from capture.cell import Cell
from capture.daemon import Daemon
from capture.publishing import Servers
from contract import clients, nodes, work
from contract.keys import Keys
from contract.nodes import Node, Pulse
from contract.settings import Settings
from contract.subscriptions import Subscription
from tests.integration.capture.conftest import picture
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.worker_api.gateways import Cms, Gateway, Message, add_result, now, stored
from tests.servers import RedisServer, eventually


def camera_of(cms: Cms) -> Message:
    """Return what is told now of the only subscription."""
    [camera] = eventually(lambda: cms.report()["cameraConnections"])
    return dict(camera)


@contextmanager
def capturing(server: RedisServer, keys: Keys, folder: Path) -> Iterator[None]:
    """A capture daemon."""
    settings = Settings(
        state_url=server.url,
        key_prefix=keys.prefix,
        media_dirs=(folder,),
        read_timeout_seconds=1,
        reconnect_interval_seconds=0.1,
    )
    stop = threading.Event()
    with clients.connect(server.url, "t-state") as state, clients.connect(server.url, "t-frames") as frames:
        daemon = Daemon(settings, state, keys, Cell(settings, state, Servers(frames, state, keys, lambda _: None)))
        thread = threading.Thread(target=daemon.run, args=(stop,))
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)


def test_a_camera_that_goes_dark_is_soon_offline_and_soon_online_again(
    cms: Cms, redis: Redis, keys: Keys, server: RedisServer, tmp_path: Path
) -> None:
    camera = HttpCamera([picture(1), picture(2)])
    camera.start()
    with capturing(server, keys, tmp_path):
        cms.subscribe(rtspUrl=camera.url("/video.mjpeg"))
        cam = stored(redis, keys).source.cam
        eventually(lambda: camera_of(cms)["online"], every_s=0.05)
        eventually(lambda: camera_of(cms)["cameraFps"], every_s=0.05)

        camera.stop()
        stopped_ms = time.time() * 1000
        # Before its frame is too old to be fresh: that alone would take ten seconds.
        dark = eventually(lambda: c if not (c := camera_of(cms))["online"] else None, within_s=9, every_s=0.05)
        assert redis.exists(keys.frame(cam))
        assert dark["state"] in {"waiting", "connecting"}
        assert dark["reason"]
        since = eventually(lambda: camera_of(cms)["stateSince"])
        assert abs(_unix_ms(since) - stopped_ms) < 2_000

        camera.start()
        seen = camera.connections
        eventually(lambda: camera.connections > seen, within_s=15)
        back = eventually(lambda: c if (c := camera_of(cms))["online"] else None, within_s=3, every_s=0.05)
        assert (back["state"], back["reason"]) == ("online", None)
    camera.stop()


def _unix_ms(iso: str) -> float:
    return datetime.fromisoformat(iso).timestamp() * 1000


class Cluster:
    """Capture and a worker that does as it is told."""

    def __init__(self, redis: Redis, keys: Keys, wanted: Subscription) -> None:
        self._redis, self._keys, self._wanted = redis, keys, wanted
        self.worker = Pulse("worker")
        self.seq = 0

    def sign(self) -> Node:
        """Say that the worker lives and holds the package."""
        pipe = self._redis.pipeline()
        sign = self.worker.sign(versions={self._wanted.pipeline: "abc"}, pipelines={"m.mpta": "abc"})
        nodes.put(pipe, self._keys, sign)
        pipe.execute()
        return sign

    def frames(self, count: int, results: int) -> None:
        """Publish frames and have that many of them computed."""
        for number in range(count):
            self.seq += 1
            work.mark(self._redis, self._keys, self.seq, {self._wanted.pipeline: [self._wanted.group]})
            if number < results:
                add_result(self._redis, self._keys, self._wanted.id, now(), nothing=True)


def running(step: Callable[[], None], every_s: float, until: Callable[[], bool], within_s: float) -> None:
    """Do `step` in a steady rhythm until something is true."""
    due_s = began_s = time.monotonic()
    while not until():
        assert time.monotonic() < began_s + within_s
        step()
        due_s += every_s
        time.sleep(max(0.0, due_s - time.monotonic()))


def test_who_gets_far_too_few_results_is_told_once_and_by_how_much(
    cms: Cms, gateway: Gateway, redis: Redis, keys: Keys
) -> None:
    assert gateway.port
    cms.subscribe(fps=10)
    cluster = Cluster(redis, keys, stored(redis, keys))

    def second() -> None:
        cluster.sign()
        cluster.frames(10, 2)

    running(second, 1.0, lambda: any(m["type"] == "error" for m in cms.settle()), within_s=40)

    [told] = [m for m in cms.seen if m["type"] == "error"]
    assert (told["code"], told["subscriptionIdentifier"], told["requestedFps"]) == ("overloaded", "d1;c1", 10.0)
    assert 1.5 < told["achievedFps"] < 3
    assert 8 < told["cameraFps"] < 12
    assert "add workers" in told["error"]
    camera = camera_of(cms)
    assert camera["overload"] > 3
    assert camera["dropped"]["superseded"] > 50
    assert camera["pipelineVersion"] == "abc"
    assert camera["frameAge"]["p50"] < 5
    eventually(lambda: [n for n in nodes.read(redis, keys) if n.facts.get("overloaded", {}).get("d1;c1", 0) > 3])
    # Once; what is suppressed counts as a result too.
    before = cluster.seq
    running(second, 1.0, lambda: cluster.seq > before + 20, within_s=10)
    assert len([m for m in cms.settle() if m["type"] == "error"]) == 0
    assert len([m for m in cms.seen if m["type"] == "imageDetection"]) == 1
