"""What loading a package costs the ones that run: the demo package at work while models of 40 MB are loaded.

`python -m benchmarks.loading [CAMERAS [LOADS]]`: cameras at 10 fps, four by default, which two cores serve whole.
"""

from __future__ import annotations

import bisect
import json
import shutil
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import cv2
from rich.console import Console
from rich.table import Table
from websockets.sync.client import ClientConnection

from benchmarks import chain
from benchmarks.chain import Chain
from benchmarks.engine import FPS, pictures
from cli.demo import PACKAGE
from contract import clients, nodes
from contract.keys import Keys
from mpta.packing import write_archive
from mpta.safety import secure_ultralytics

#: An untrained network whose file has 40 MB: the largest kind for which a limit is set.
NETWORK = "yolo11m.yaml"
#: The rate is taken over any so many seconds; a load may lower it by at most `MOST_PERCENT`.
WINDOW_S = 5.0
MOST_PERCENT = 15.0
_BEFORE_S, _AFTER_S, _PATIENCE_S = 10.0, 6.0, 120.0


@dataclass
class Arrivals:
    """When detections arrived, in monotonic seconds."""

    times: list[float] = field(default_factory=list)

    def rate(self, begin_s: float, end_s: float) -> float:
        """Return detections per second in a span of time."""
        return (bisect.bisect(self.times, end_s) - bisect.bisect(self.times, begin_s)) / (end_s - begin_s)

    def worst(self, begin_s: float, end_s: float) -> float:
        """Return the least rate over `WINDOW_S` of all such spans that meet the one from `begin_s` to `end_s`."""
        starts = [begin_s - WINDOW_S, *(t for t in self.times if begin_s - WINDOW_S < t < end_s)]
        return min(self.rate(start, start + WINDOW_S) for start in starts)

    def listen(self, socket: ClientConnection, stop: threading.Event) -> None:
        """Note arrivals until `stop`."""
        while not stop.is_set():
            try:
                message = socket.recv(timeout=0.2)
            except TimeoutError:
                continue
            if json.loads(message)["type"] == "imageDetection":
                self.times.append(time.monotonic())


def heavy(folder: Path, number: int) -> Path:
    """Write a package with one large untrained model, unlike those of other numbers; return its path."""
    secure_ultralytics()
    import torch
    from ultralytics.nn import tasks

    torch.manual_seed(number)
    detection_model: Any = tasks.DetectionModel
    network = detection_model(NETWORK, ch=3, nc=80, verbose=False)
    network.names, network.task = {i: f"class {i}" for i in range(80)}, "detect"
    weights, package = folder / "m.pt", folder / f"heavy-{number}.mpta"
    torch.save({"model": network.half(), "train_args": {"imgsz": 640, "task": "detect"}}, weights)
    root = {"modelId": "m", "modelFile": "m.pt", "minConfidence": 0.25, "triggerClasses": []}
    write_archive(package, {"pipeline.json": json.dumps({"pipeline": root}).encode(), "m.pt": weights})
    return package


def load(system: Chain, socket: ClientConnection, package: Path) -> tuple[float, float]:
    """Have the worker load one more package; return when that began and ended."""
    keys = Keys(system.settings.key_prefix)
    camera = {"subscriptionIdentifier": f"d;{package.stem}", "rtspUrl": "rtsp://127.0.0.1:1/heavy"}
    began_s = time.monotonic()
    socket.send(json.dumps({"type": "subscribe", "payload": {**camera, "modelUrl": package.name, "modelId": 2}}))
    with clients.connect(system.settings.state, "bench") as state:
        while not any(package.name in versions for versions in _versions(state, keys)):
            assert time.monotonic() < began_s + _PATIENCE_S, f"{package.name} is not loaded"
            time.sleep(0.1)
    return began_s, time.monotonic()


def _versions(state: Any, keys: Keys) -> list[dict[str, str]]:
    return [node.facts.get("pipelines", {}) for node in nodes.read(state, keys)]


def measure(cameras: int, loads: int) -> Table:
    """Load one package after the other beside running cameras."""
    table = Table(
        title=f"demo package, {cameras} cameras at {FPS:g} fps, while another is loaded",
        title_justify="left",
        min_width=100,
    )
    for name in ("MB", "loaded in s", "detections/s before", f"worst {WINDOW_S:g} s", f"dip % (<= {MOST_PERCENT:g})"):
        table.add_column(name, justify="right")
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes() for image in pictures()]
    with TemporaryDirectory(prefix="detector-bench-") as folder:
        demo = Path(shutil.copy(PACKAGE, folder))
        packages = [heavy(Path(folder), number) for number in range(loads)]
        with chain.running("tasks", demo) as system, system.subscribed(cameras) as socket:
            arrivals, stop = Arrivals(), threading.Event()
            total_s = 30.0 + loads * (_BEFORE_S + _AFTER_S + 30.0)
            threads = [
                threading.Thread(target=arrivals.listen, args=(socket, stop), daemon=True),
                threading.Thread(target=system.publish, args=(cameras, FPS, total_s, jpegs), daemon=True),
            ]
            for thread in threads:
                thread.start()
            while len(arrivals.times) < 10 * cameras:
                time.sleep(0.1)
            for package in packages:
                time.sleep(_BEFORE_S)
                began_s, ended_s = load(system, socket, package)
                time.sleep(_AFTER_S)
                before, worst = arrivals.rate(began_s - _BEFORE_S, began_s), arrivals.worst(began_s, ended_s)
                dip = f"{100 * (1 - worst / before):.0f}"
                size = f"{package.stat().st_size / 1e6:.0f}"
                table.add_row(size, f"{ended_s - began_s:.1f}", f"{before:.1f}", f"{worst:.1f}", dip)
            stop.set()
            threads[0].join()
    return table


def main(arguments: list[str]) -> None:
    """Print the table."""
    cameras, loads = (int(each) for each in (*arguments, *("4", "3")[len(arguments) :]))
    Console(width=118).print(measure(cameras, loads))


if __name__ == "__main__":
    main(sys.argv[1:])
