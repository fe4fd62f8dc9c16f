"""What a frame costs us beside the model, and how long it takes from capture to CMS: a null model, 640x360.

`python -m benchmarks.hot_path` prints the table; `… CAMERAS FPS [pinned]` one line of it, as JSON; `pinned`: all of the
worker's threads on one core.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import mpta
from benchmarks import chain
from benchmarks.chain import Chain
from benchmarks.null_worker import null_pipeline
from tasks import pictures


@dataclass(frozen=True)
class Load:
    """One load that was run.

    Attributes:
        cpu_ms: CPU per delivered detection of each part.
        latencies_ms: age of each detection at its arrival.
    """

    sent: int
    delivered: int
    seconds: float
    cpu_ms: dict[str, float]
    latencies_ms: list[float]

    @property
    def per_second(self) -> float:
        """Detections delivered per second."""
        return self.delivered / self.seconds

    def percentile(self, q: float) -> float:
        """Return a percentile of the age, in ms."""
        return float(np.percentile(self.latencies_ms, q)) if self.latencies_ms else float("nan")


#: Cameras and frames per second of each, and whether the worker has one core only: idle, busy, too much.
LOADS = ((4, 10.0, False), (25, 10.0, False), (50, 25.0, False), (50, 25.0, True))
#: Frames per batch of a worker on a CPU.
BATCH = 4
SECONDS = 10.0
WARM_S = 60.0


def run(system: Chain, *, cameras: int, fps: float, seconds: float, jpegs: Sequence[bytes] = ()) -> Load:
    """Put a load on a fresh chain and measure it, once the first result of it has come."""
    stop = threading.Event()
    with system.subscribed(cameras) as socket:
        listener = system.listen(socket, stop)
        deadline = time.monotonic() + WARM_S
        while time.monotonic() < deadline and len(system.latencies_ms) < 2 * cameras:
            system.publish(cameras, fps, 2.0, jpegs)  # The package is loaded, connections are made, kernels chosen.
        time.sleep(0.5)
        system.latencies_ms.clear()
        before, began = system.cpu_s(), time.monotonic()
        sent = system.publish(cameras, fps, seconds, jpegs)
        took = time.monotonic() - began
        after = system.cpu_s()
        time.sleep(0.5)
        stop.set()
        listener.join()
    delivered = max(1, len(system.latencies_ms))
    cpu = {name: (after[name] - before[name]) * 1000 / delivered for name in after}
    return Load(sent, delivered, took, cpu, list(system.latencies_ms))


def bare_ms(*, decoded: bool, repeats: int = 100) -> float:
    """Return CPU ms per frame of the model alone, in batches, with or without decoding the benchmark's picture."""
    pipeline, jpeg = null_pipeline(Path(), ""), np.frombuffer(chain.picture(), np.uint8)
    image = pictures.decode(jpeg.tobytes())
    began = time.process_time()
    for _ in range(repeats):
        images = [pictures.decode(jpeg.tobytes()) if decoded else image for _ in range(BATCH)]
        pipeline.run([mpta.Frame(image=each) for each in images if each is not None])
    return (time.process_time() - began) * 1000 / repeats / BATCH


def one(cameras: int, fps: float, *, pinned: bool) -> Load:
    """Measure one load on a chain of its own."""
    with chain.running() as system:
        if pinned:
            for thread in system.process("worker").threads():
                os.sched_setaffinity(thread.id, {min(os.sched_getaffinity(0))})
        return run(system, cameras=cameras, fps=fps, seconds=SECONDS)


def table() -> Table:
    """Measure all loads, each in a process of its own, since Celery reads its settings once per process."""
    bare = bare_ms(decoded=True)
    decode = bare - bare_ms(decoded=False)
    title = (
        f"hot path: null model, 640x360, one worker. CPU per frame; * worker + gateway - decoding ({decode:.2f} ms). "
        f"Bare model with decoding: {bare:.2f} ms"
    )
    found = Table(title=title, title_justify="left", min_width=100)
    for name in ("cameras x fps", "sent/s", "delivered/s", "p50 ms", "p99 ms", "worker ms", "gateway ms", "servers ms"):
        found.add_column(name, justify="right")
    found.add_column("ours ms*", justify="right")
    found.add_column("bare / worker", justify="right")
    for cameras, fps, pinned in LOADS:
        command = [sys.executable, "-m", "benchmarks.hot_path", str(cameras), str(fps), *(["pinned"] if pinned else [])]
        load = Load(**json.loads(subprocess.run(command, check=True, capture_output=True).stdout))
        cpu = load.cpu_ms
        found.add_row(
            f"{cameras} x {fps:g}{', one core' if pinned else ''}",
            f"{load.sent / load.seconds:.0f}",
            f"{load.per_second:.0f}",
            f"{load.percentile(50):.1f}",
            f"{load.percentile(99):.1f}",
            f"{cpu['worker']:.2f}",
            f"{cpu['gateway']:.2f}",
            f"{cpu['STATE_URL'] + cpu['FRAMES_URL']:.2f}",
            f"{cpu['worker'] + cpu['gateway'] - decode:.2f}",
            f"{bare / cpu['worker']:.2f}",
        )
    return found


if __name__ == "__main__":
    if len(sys.argv) > 2:
        sys.stdout.write(json.dumps(asdict(one(int(sys.argv[1]), float(sys.argv[2]), pinned="pinned" in sys.argv))))
    else:
        Console(width=130).print(table())
