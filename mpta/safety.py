"""Settings that ultralytics reads from the environment once, at its import: set here before every such import."""

from __future__ import annotations

import os


def secure_ultralytics() -> None:
    """Keep ultralytics from running a checkpoint's code, installing packages and reaching for the network."""
    os.environ["ULTRALYTICS_SAFE_LOAD"] = "true"
    os.environ["YOLO_AUTOINSTALL"] = "False"
    os.environ["YOLO_OFFLINE"] = "True"
    os.environ.setdefault("YOLO_VERBOSE", "False")  # It logs to stdout, where a command may be writing JSON.
