"""What a frame costs us beside the model, and how long it takes from capture to CMS."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

import cv2
import numpy as np

from benchmarks import chain
from benchmarks.chain import Chain


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


def run(system: Chain, *, cameras: int, fps: float, seconds: float) -> Load:
    """Put a load on a fresh chain and measure it."""
    socket, stop = system.subscribe(cameras), threading.Event()
    listener = system.listen(socket, stop)
    system.publish(cameras, fps, 2.0)  # Warm: the package is loaded, connections are made.
    time.sleep(0.5)
    system.latencies_ms.clear()
    before, began = system.cpu_s(), time.monotonic()
    sent = system.publish(cameras, fps, seconds)
    took = time.monotonic() - began
    after = system.cpu_s()
    time.sleep(0.5)
    stop.set()
    listener.join()
    socket.close()
    delivered = max(1, len(system.latencies_ms))
    cpu = {name: (after[name] - before[name]) * 1000 / delivered for name in after}
    return Load(sent, delivered, took, cpu, list(system.latencies_ms))


def decode_ms(repeats: int = 300) -> float:
    """Return CPU ms to decode the benchmark's picture."""
    jpeg = np.frombuffer(chain.picture(), np.uint8)
    began = time.process_time()
    for _ in range(repeats):
        cv2.imdecode(jpeg, cv2.IMREAD_COLOR)
    return (time.process_time() - began) * 1000 / repeats
