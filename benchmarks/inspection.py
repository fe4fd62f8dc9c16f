"""What it costs to see whether a camera shows anything, beside decoding: `python -m benchmarks.inspection`."""

from __future__ import annotations

import time
from collections.abc import Callable
from itertools import count

import cv2
import numpy as np
from rich.console import Console
from rich.table import Table

from capture.inspection import LOOK_S, Inspector
from simulator.scene import Scene

SIZES = ((640, 360), (1280, 720), (1920, 1080))
REPEATS = 300
FPS = 10.0


def measure(width: int, height: int) -> tuple[float, float]:
    """Return CPU ms to decode one picture of the forecourt and to look at it."""
    image = cv2.resize(Scene(1).at(6.0)[0], (width, height))
    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()
    inspector, clock = Inspector(60), count(1)
    decoding = _cpu_ms(lambda: cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR))
    return decoding, _cpu_ms(lambda: inspector.look(jpeg, next(clock) * LOOK_S))


def _cpu_ms(work: Callable[[], object]) -> float:
    began = time.process_time()
    for _ in range(REPEATS):
        work()
    return (time.process_time() - began) * 1000 / REPEATS


def main() -> None:
    """Print the table."""
    table = Table(title=f"inspection, one look each {LOOK_S:g} s", title_justify="left", min_width=100)
    for name in ("picture", "decoding ms", "one look ms", "ratio", f"ms per frame at {FPS:g} fps", "share of a core"):
        table.add_column(name, justify="right")
    for width, height in SIZES:
        decoding, look = measure(width, height)
        per_frame = look / LOOK_S / FPS
        cells = (
            f"{decoding:.2f}",
            f"{look:.2f}",
            f"{look / decoding:.2f}",
            f"{per_frame:.2f}",
            f"{look / LOOK_S / 10:.2f} %",
        )
        table.add_row(f"{width}x{height}", *cells)
    Console(width=118).print(table)


if __name__ == "__main__":
    main()
