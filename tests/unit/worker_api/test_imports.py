"""What a gateway loads, and what it must not."""

from __future__ import annotations

import subprocess
import sys

FORBIDDEN = ("numpy", "torch", "cv2", "celery", "kombu", "av", "ultralytics", "mpta", "tasks", "capture", "cli")


def test_a_gateway_loads_neither_models_nor_decoders_nor_the_queue() -> None:
    program = f"import sys, worker_api.__main__; print([m for m in {FORBIDDEN!r} if m in sys.modules])"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout

    assert loaded.strip() == "[]"
