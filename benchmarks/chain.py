"""The chain from a stored frame to the CMS, every part a real process; by default with a null model."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import httpx
import numpy as np
import psutil
from websockets.sync.client import ClientConnection, connect

from cli import embedded
from cli.processes import Child, Processes
from contract import clients, frames, nodes, wakeups, work
from contract.frames import Frame
from contract.keys import Keys
from contract.settings import PREFIX, Settings
from contract.subscriptions import Subscription, read

WIDTH, HEIGHT = 640, 360
_READY_S = 30.0


def picture(seed: int = 0) -> bytes:
    """Return a JPEG of 640x360 with as much detail as a street has (about 45 kB)."""
    noise = np.random.default_rng(seed).integers(0, 255, (HEIGHT // 8, WIDTH // 8, 3), np.uint8)
    image = cv2.resize(noise, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    return cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()


@dataclass
class Chain:
    """A running chain. `cpu_s` of a part is what its process has used so far."""

    settings: Settings
    processes: Processes
    address: str
    package: str
    latencies_ms: list[float] = field(default_factory=list)

    def process(self, name: str) -> psutil.Process:
        """Return the process of a part."""
        child = next(child for child in self.processes.children if child.name == name)
        assert child.process is not None
        return psutil.Process(child.process.pid)

    def cpu_s(self) -> dict[str, float]:
        """Return the CPU seconds that each part has used."""
        times = {child.name: self.process(child.name).cpu_times() for child in self.processes.children}
        return {name: t.user + t.system for name, t in times.items()}

    @contextmanager
    def subscribed(self, cameras: int) -> Iterator[ClientConnection]:
        """A CMS connection that has subscribed to so many cameras, which exist in Redis alone."""
        with connect(f"ws://{self.address}/", proxy=None, max_size=2**20) as socket:
            for i in range(cameras):
                payload: dict[str, object] = {
                    "subscriptionIdentifier": f"d{i};c{i}",
                    "rtspUrl": f"rtsp://127.0.0.1:1/{i}",
                }
                payload |= {"modelUrl": self.package, "modelId": 1}
                socket.send(json.dumps({"type": "subscribe", "payload": payload}))
            yield socket

    def listen(self, socket: ClientConnection, stop: threading.Event) -> threading.Thread:
        """Note the age of every detection that arrives, until `stop`."""

        def forever() -> None:
            while not stop.is_set():
                try:
                    message = socket.recv(timeout=0.2)
                except TimeoutError:
                    continue
                now_ms = time.time() * 1000
                content = json.loads(message)
                if content["type"] == "imageDetection":
                    self.latencies_ms.append(now_ms - datetime.fromisoformat(content["timestamp"]).timestamp() * 1000)

        thread = threading.Thread(target=forever, daemon=True)
        thread.start()
        return thread

    def publish(self, cameras: int, fps: float, seconds: float, jpegs: Sequence[bytes] = ()) -> int:
        """Store and mark frames as capture does, evenly spread over time; return how many.

        Each camera shows one of `jpegs` all the time, by default the null picture.
        """
        keys = Keys(self.settings.key_prefix)
        state, pictures = clients.connect(self.settings.state, "bench"), clients.connect(self.settings.frames, "bench")
        waker = wakeups.Waker(wakeups.celery_app(), self.settings, "bench")
        wanted = self._wanted(cameras)
        pictures_of, began, sent = jpegs or (picture(),), time.monotonic(), 0
        base = time.time_ns() // 1000
        while (now := time.monotonic() - began) < seconds:
            due = int(now * cameras * fps)
            if sent >= due:
                time.sleep(0.0005)
                continue
            subscription = wanted[sent % cameras]
            frame = Frame(
                cam=subscription.source.cam,
                seq=base + sent,
                captured_ms=nodes.now_ms(),
                width=WIDTH,
                height=HEIGHT,
                jpeg=pictures_of[sent % cameras % len(pictures_of)],
            )
            frames.put(pictures, keys, frame, 10_000)
            waker.wake(work.mark(state, keys, frame.seq, {subscription.pipeline: [subscription.group]}))
            sent += 1
        return sent

    def _wanted(self, cameras: int) -> Sequence[Subscription]:
        keys, deadline = Keys(self.settings.key_prefix), time.monotonic() + _READY_S
        with clients.connect(self.settings.state, "bench") as state:
            while len(found := list(read(state, keys).subscriptions.values())) < cameras:
                assert time.monotonic() < deadline, f"{len(found)} of {cameras} subscriptions"
                time.sleep(0.05)
        return found


@contextmanager
def running(app: str = "benchmarks.null_worker", package: Path | None = None, device: str = "cpu") -> Iterator[Chain]:
    """Start servers, gateway and the worker of `app`; hand them over; stop them. Without a `package`: an empty one."""
    processes = Processes()
    with TemporaryDirectory(prefix="detector-bench-") as folder, (Path(folder) / "log").open("wb") as log:
        home = Path(folder)
        if package is None:
            package = home / "null.mpta"
            package.touch()
        servers = {"STATE_URL": embedded.state(home, durable=False), "FRAMES_URL": embedded.frames(home)}
        env = {PREFIX + name: server.url for name, server in servers.items()}
        env |= {f"{PREFIX}PORT": str(embedded.free_port()), f"{PREFIX}MODEL_DIRS": str(package.parent)}
        env |= {f"{PREFIX}DEVICE": device, f"{PREFIX}DATA_DIR": folder}
        os.environ.update(env)
        try:
            for name, server in servers.items():
                processes.start(Child(name, server.command, {}, server.configuration(), log))
                server.wait()
            processes.start(Child("gateway", [sys.executable, "-m", "worker_api"], env, output=log))
            celery = [sys.executable, "-m", "celery", "-A", app, "worker"]
            processes.start(Child("worker", [*celery, "--without-gossip", "--without-mingle"], env, output=log))
            chain = Chain(Settings(), processes, f"127.0.0.1:{env[f'{PREFIX}PORT']}", package.name)
            _wait(chain)
            yield chain
        finally:
            processes.stop()


def _wait(chain: Chain) -> None:
    deadline = time.monotonic() + _READY_S
    keys = Keys(chain.settings.key_prefix)
    with clients.connect(chain.settings.state, "bench") as state:
        while True:
            try:
                if (
                    httpx.get(f"http://{chain.address}/health", trust_env=False).is_success
                    and state.zcard(keys.nodes) >= 2
                ):
                    return
            except httpx.HTTPError:
                pass
            assert time.monotonic() < deadline, "the chain does not start"
            time.sleep(0.1)
