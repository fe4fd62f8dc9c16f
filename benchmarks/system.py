"""The demo's system: memory of each part, the age of served pictures, its rate beside the bare pipeline's.

`python -m benchmarks.system` prints the tables.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event

import numpy as np
import psutil
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection, connect

import mpta
from cli import embedded, stack
from cli.demo import PACKAGE
from cli.stack import Stack
from contract import clients, frames, nodes, subscriptions
from contract.keys import Keys
from contract.settings import PREFIX, Settings
from simulator.cameras import Cameras
from simulator.scene import Scene

SECONDS = 20.0
#: What each part may take, in MB of proportional set size: capture's grows with its RTSP cameras.
LIMITS = {"gateway": 120.0, "capture": 150.0 + 2 * 45.0, "worker": 1000.0}


def bare_rate(seconds: float = 10.0) -> float:
    """Return frames per second of the demo package alone in this process, in batches as the worker makes them."""
    pipeline = mpta.load(PACKAGE)
    scenes = [Scene(seed).at(6.0)[0] for seed in range(1, 5)]
    batch = [mpta.Frame(image=image) for image in scenes]
    tracks = [b""] * len(batch)
    pipeline.run(batch)
    began, count = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        inputs = [mpta.Frame(image=image, tracks=state) for image, state in zip(scenes, tracks, strict=True)]
        tracks = [result.tracks for result in pipeline.run(inputs)]
        count += len(inputs)
    return count / (time.monotonic() - began)


@contextmanager
def demo() -> Iterator[tuple[Stack, Cameras]]:
    """The demo's system, at work."""
    with TemporaryDirectory(prefix="detector-bench-") as folder, (Path(folder) / "log").open("wb") as log:
        own: dict[str, object] = {
            "PORT": embedded.free_port(),
            "FLOWER": "false",
            "MODEL_DIRS": PACKAGE.parent,
            "DATA_DIR": folder,
        }
        os.environ.update({PREFIX + name: str(value) for name, value in own.items()})
        with (
            Cameras() as cameras,
            stack.running(Settings(), durable=False, output=log, home=Path(folder)) as system,
        ):
            stack.wait_until_ready(system, Event())
            yield system, cameras


def pss_mb(process: psutil.Process) -> float:
    """Return the proportional set size of a process and all below it: shared pages count once among their users."""
    family = [process, *process.children(recursive=True)]
    return sum(p.memory_full_info().pss for p in family) / 1e6


def measure() -> Iterator[Table]:
    """Run the system for a while; yield what was found."""
    bare = bare_rate()
    with demo() as (system, cameras):
        with connect(f"ws://{system.address}/", proxy=None) as socket:
            for name, url in cameras.urls.items():
                payload = {"subscriptionIdentifier": f"d;{name}", "modelUrl": PACKAGE.name, "modelId": 1}
                payload |= {"snapshotUrl": url, "snapshotInterval": 100} if url.endswith(".jpg") else {"rtspUrl": url}
                socket.send(json.dumps({"type": "subscribe", "payload": payload}))
            while json.loads(socket.recv())["type"] != "imageDetection":
                pass
            ages, delivered = _watch(system, socket)
        yield _memory(system)
    table = Table(title=f"demo package, four cameras at 10 fps, {SECONDS:g} s", title_justify="left", min_width=100)
    for name in (
        "bare pipeline, frames/s",
        "whole system, detections/s",
        "ratio",
        "age of stored picture p99",
        "worst",
    ):
        table.add_column(name, justify="right")
    rate = delivered / SECONDS
    worst, p99 = max(ages), float(np.percentile(ages, 99))
    table.add_row(f"{bare:.1f}", f"{rate:.1f}", f"{rate / bare:.2f}", f"{p99:.0f} ms", f"{worst:.0f} ms")
    yield table


def _watch(system: Stack, socket: ClientConnection) -> tuple[list[float], int]:
    """Return the ages in ms of the stored pictures, looked at all the time, and how many detections came."""
    keys, ages, delivered = Keys(system.settings.key_prefix), list[float](), 0
    state = clients.connect(system.env[f"{PREFIX}STATE_URL"], "bench")
    pictures = clients.connect(system.env[f"{PREFIX}FRAMES_URL"], "bench")
    cams = list(subscriptions.read(state, keys).cameras)
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        with suppress(TimeoutError):
            delivered += json.loads(socket.recv(timeout=0.05))["type"] == "imageDetection"
        ages += [nodes.now_ms() - frame.captured_ms for frame in frames.get_many(pictures, keys, cams) if frame]
    return ages, delivered


def _memory(system: Stack) -> Table:
    table = Table(title="memory (proportional set size)", title_justify="left", min_width=100)
    for name in ("part", "MB", "limit MB"):
        table.add_column(name, justify="right")
    for child in system.processes.children:
        if child.process is not None:
            limit = LIMITS.get(child.name)
            size = pss_mb(psutil.Process(child.process.pid))
            table.add_row(child.name, f"{size:.0f}", "" if limit is None else f"{limit:.0f}")
    return table


if __name__ == "__main__":
    for each in measure():
        Console(width=118).print(each)
