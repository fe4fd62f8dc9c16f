"""A worker whose pipelines cost nothing: what is left is our own cost. `celery -A benchmarks.null_worker worker`."""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import mpta
from contract import settings
from mpta import Pipeline, Task
from tasks.detect import worker_app
from tasks.runtime import Runtime


@dataclass(frozen=True)
class NullModel:
    """Sees one car in every picture, at once."""

    names: Sequence[str] = ("car",)
    imgsz: tuple[int, int] = (32, 32)
    stride: int = 0
    task: Task = "detect"

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> list[NDArray[np.float32]]:
        """Return the same box for each picture."""
        del min_confidence
        return [np.array([[4, 4, 28, 28, 0.9, 0]], np.float32) for _ in batch]


def null_pipeline(_file: Path, _name: str) -> Pipeline:
    """Return a pipeline of one `NullModel`, without a tracker, whatever package is asked for."""
    root = {"modelId": "null", "modelFile": "null.pt", "minConfidence": 0.25, "triggerClasses": [], "tracker": "none"}
    manifest, faults, _warnings = mpta.parse(json.dumps({"pipeline": root}).encode())
    assert manifest is not None, faults
    return Pipeline(manifest, {"null": NullModel()})


app = worker_app(functools.cache(lambda: Runtime(settings.load(), null_pipeline)))
