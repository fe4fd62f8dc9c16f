"""Worker processes, and a desk that subscribes, stores frames and reads results."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import pytest
import torch
from redis import Redis

from contract import frames, nodes, problems, sessions, subscriptions, work
from contract.frames import Frame
from contract.keys import Keys
from contract.problems import Problem
from contract.settings import Settings
from contract.subscriptions import Source, Subscription
from contract.wakeups import Waker, celery_app
from mpta import Image
from tests.integration.tasks import colour_worker
from tests.servers import RedisServer, eventually
from tests.unit.mpta import toys

ROOT = Path(__file__).parents[3]
COLOURS = "tests.integration.tasks.colour_worker"


class Worker:
    """One `celery worker` process."""

    def __init__(self, server: RedisServer, home: Path, app: str = COLOURS, **settings: object) -> None:
        """`settings` are environment variables without their prefix, in lower case."""
        self.hold = home / "hold"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        own = {f"DETECTOR_{name.upper()}": str(value) for name, value in settings.items()}
        base = {"DETECTOR_STATE_URL": server.url, "DETECTOR_KEY_PREFIX": "t:", "DETECTOR_MODEL_DIRS": str(home)}
        base |= {"DETECTOR_DEVICE": "cpu", "DETECTOR_DATA_DIR": str(home), colour_worker.HOLD: str(self.hold)}
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "--without-gossip", "--without-mingle"]
        home.mkdir(exist_ok=True)
        self.log = (home / f"worker-{len(list(home.iterdir()))}.log").open("wb+")
        self.process = subprocess.Popen(command, cwd=ROOT, env=inherited | base | own, stderr=self.log)

    def ready(self) -> Worker:
        """Wait until it takes work; return it. On a busy machine its imports alone take many seconds."""
        eventually(lambda: "worker ready on" in self.said(), within_s=45.0, every_s=0.05)
        return self

    def said(self) -> str:
        """Return what it logged."""
        return Path(self.log.name).read_text()

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(10.0)

    def close(self) -> None:
        """End it at once, if it still runs."""
        self.process.kill()
        self.process.wait()
        self.log.close()


class Desk:
    """What the gateway and capture do for a worker, done by hand."""

    def __init__(self, redis: Redis, keys: Keys, server: RedisServer, home: Path) -> None:
        self.redis, self.keys, self.home = redis, keys, home
        self.seq = 0
        # celeryconfig reads this process's settings once; the tests have servers of their own.
        app = celery_app()
        app.conf.update(broker_url=server.url.replace("unix://", "redis+socket://"))
        app.conf.broker_transport_options["global_keyprefix"] = "t:cq:"
        self._waker = Waker(app, Settings(state_url=server.url, key_prefix="t:"), "test")

    def package(self, **root: Any) -> str:
        """Write a package of one detector, called like no other; return its address."""
        name = f"colours-{len(list(self.home.iterdir()))}.mpta"
        torch.save({"model": {}}, self.home / "model.pt")
        top = {"redis": root.pop("redis")} if "redis" in root else {}
        node = toys.node("model", **{"tracker": "none", **root})
        toys.package(self.home / name, node, {"model.pt": self.home / "model.pt"}, **top)
        return name

    def subscribe(self, name: str, model_url: str, **fields: Any) -> Subscription:
        """Start or replace the subscription `display;camera` to a stream called after the camera."""
        display, camera = name.split(";")
        source = Source(url=f"rtsp://{camera}/", kind="stream")
        self.seq += 1
        options: dict[str, Any] = {"model_id": 101, "model_name": "Colours", "revision": self.seq} | fields
        made = Subscription(id=name, display=display, camera=camera, source=source, model_url=model_url, **options)
        pipe = self.redis.pipeline()
        subscriptions.put(pipe, self.keys, made)
        pipe.execute()
        return made

    def session(self, display: str, *changes: tuple[int, sessions.SessionId]) -> None:
        """Give a display its sessions."""
        pipe = self.redis.pipeline()
        sessions.put(pipe, self.keys, display, changes)
        pipe.execute()

    def see(self, subscription: Subscription, image: Image, captured_ms: int | None = None) -> int:
        """Store a picture of the subscription's camera and mark it for its group; return its seq."""
        self.seq += 1
        jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
        captured_ms = captured_ms or nodes.now_ms()
        height, width = image.shape[:2]
        cam = subscription.source.cam
        frame = Frame(cam=cam, seq=self.seq, captured_ms=captured_ms, width=width, height=height, jpeg=jpeg)
        frames.put(self.redis, self.keys, frame, 60_000)
        self._waker.wake(work.mark(self.redis, self.keys, self.seq, {subscription.pipeline: [subscription.group]}))
        return self.seq

    def results(self) -> list[dict[str, Any]]:
        """Return the messages in the stream."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(self.keys.detections))
        return [json.loads(fields[b"b"]) for _, fields in entries]

    def result(self, subscription: Subscription) -> dict[str, Any]:
        """Wait for the first result of a subscription."""
        return eventually(
            lambda: next((r for r in self.results() if r["subscriptionIdentifier"] == subscription.id), {})
        )

    def count(self, at_least: int) -> bool:
        """Return whether there are so many results."""
        return len(self.results()) >= at_least

    def done(self, subscription: Subscription) -> int:
        """Return the newest seq of the subscription's group that has a result."""
        return int(cast("bytes | None", self.redis.hget(self.keys.group(subscription.group), "done")) or 0)

    def computing(self, subscription: Subscription) -> float:
        """Return when the lease ends under which a worker computes the subscription's group; 0 when none does."""
        end = self.redis.zscore(self.keys.running(subscription.pipeline), subscription.group)
        return float(end or 0)

    def idle(self, subscription: Subscription) -> bool:
        """Return whether no worker waits for work of the subscription's pipeline: the next must be woken."""
        return not self.redis.exists(f"{self.keys.prefix}waits:{subscription.pipeline}")

    def facts(self) -> list[dict[str, Any]]:
        """Return what each living process says of itself."""
        return [node.facts for node in nodes.read(self.redis, self.keys)]

    def problems(self) -> list[Problem]:
        """Return what was told so far."""
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(self.keys.problems))
        return [problems.decode(self.keys, fields) for _, fields in entries]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of packages, which workers may read."""
    return tmp_path_factory.mktemp("packages")


@pytest.fixture(scope="module")
def worker(server: RedisServer, home: Path) -> Iterator[Worker]:
    """One worker for all tests that leave it as it was."""
    running = Worker(server, home)
    yield running.ready()
    running.close()


@pytest.fixture
def desk(redis: Redis, keys: Keys, server: RedisServer, home: Path) -> Desk:
    """A desk, on a server that holds nothing."""
    return Desk(redis, keys, server, home)


@pytest.fixture
def start(server: RedisServer, tmp_path: Path, home: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers of a test's own, and ends them after it."""
    running: list[Worker] = []

    def another(app: str = COLOURS, **settings: object) -> Worker:
        running.append(Worker(server, tmp_path, app, model_dirs=home, **settings))
        return running[-1].ready()

    yield another
    for each in running:
        each.close()
