"""The demo package on this machine: the bare engine by batch size, then one worker under rising load.

`python -m benchmarks.engine [DEVICE] [CAMERAS ...]`; by default the CPU, and loads around what it can do.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import asdict

import cv2
from rich.console import Console
from rich.table import Table

import mpta
from benchmarks import chain, hot_path
from benchmarks.hot_path import Load
from cli.demo import PACKAGE
from mpta import Image, Pipeline
from simulator.scene import Scene

BATCHES = (1, 4, 16, 32)
FPS = 10.0
_SECONDS = 5.0
#: A second of each scene at which vehicles are there.
MOMENTS = (6.0, 22.0, 24.0, 12.0)


def pictures() -> list[Image]:
    """Return eight pictures, most of them with one or two vehicles."""
    return [Scene(seed).at(MOMENTS[seed % len(MOMENTS)])[0] for seed in range(1, 9)]


def rate(pipeline: Pipeline, images: list[Image], batch: int) -> float:
    """Return frames per second of `pipeline` alone, tracked, in batches."""
    states = [b""] * batch
    frames, began = 0, 0.0
    for warm in (True, False):
        began, frames = time.monotonic(), 0
        while time.monotonic() - began < (1.0 if warm else _SECONDS):
            inputs = [mpta.Frame(image=images[i % len(images)], tracks=state) for i, state in enumerate(states)]
            states = [result.tracks for result in pipeline.run(inputs)]
            frames += batch
    return frames / (time.monotonic() - began)


def bare(device: str) -> Table:
    """Measure the engine alone."""
    pipeline, images = mpta.load(PACKAGE, device), pictures()
    table = Table(
        title=f"engine alone on {device}: demo package, 960x540, frames/s by batch", title_justify="left", min_width=100
    )
    for batch in BATCHES:
        table.add_column(str(batch), justify="right")
    table.add_row(*(f"{rate(pipeline, images, batch):.0f}" for batch in BATCHES))
    return table


def loaded(device: str, cameras: int) -> Load:
    """Measure one worker with so many cameras, on a chain of its own."""
    jpegs = [cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes() for image in pictures()]
    with chain.running("tasks", PACKAGE, device) as system:
        return hot_path.run(system, cameras=cameras, fps=FPS, seconds=hot_path.SECONDS, jpegs=jpegs)


def chained(device: str, loads: list[int]) -> Table:
    """Measure the worker under each load, each in a process of its own."""
    table = Table(
        title=f"one worker on {device}: demo package, cameras at {FPS:g} fps", title_justify="left", min_width=100
    )
    for name in ("cameras", "sent/s", "delivered/s", "age p50 ms", "age p99 ms", "worker CPU ms/frame"):
        table.add_column(name, justify="right")
    for cameras in loads:
        command = [sys.executable, "-m", "benchmarks.engine", device, "--one", str(cameras)]
        load = Load(**json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        ages = f"{load.percentile(50):.0f}", f"{load.percentile(99):.0f}"
        rates = f"{load.sent / load.seconds:.0f}", f"{load.per_second:.0f}"
        table.add_row(str(cameras), *rates, *ages, f"{load.cpu_ms['worker']:.1f}")
    return table


def main(arguments: list[str]) -> None:
    """Print the tables, or one load as JSON."""
    device = arguments[0] if arguments else "cpu"
    if arguments[1:2] == ["--one"]:
        sys.stdout.write(json.dumps(asdict(loaded(device, int(arguments[2])))))
        return
    console = Console(width=118)
    console.print(bare(device))
    console.print(chained(device, [int(each) for each in arguments[1:]] or [2, 4, 8, 16]))


if __name__ == "__main__":
    main(sys.argv[1:])
