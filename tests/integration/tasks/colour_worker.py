"""A real worker whose models see colours: `celery -A tests.integration.tasks.colour_worker worker`.

Orange is a car, blue a truck; a magenta picture makes the model fail, and while the file named by `HOLD` exists a
forward pass does not end.
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from contract import settings
from mpta import Pipeline, Task, open_package
from tasks.detect import worker_app
from tasks.runtime import Runtime
from tests.unit.mpta.toys import ColourDetector

ORANGE, BLUE, MAGENTA = (0, 140, 255), (255, 60, 0), (255, 0, 255)
HOLD = "DETECTOR_TEST_HOLD"


@dataclass(frozen=True)
class Moody:
    """A `ColourDetector` with moods."""

    hold: Path
    eye: ColourDetector = field(default_factory=lambda: ColourDetector(("car", "truck"), ((ORANGE, 0.9), (BLUE, 0.8))))
    imgsz: tuple[int, int] = (96, 160)
    stride: int = 32
    task: Task = "detect"

    @property
    def names(self) -> Sequence[str]:
        return self.eye.names

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        pause = threading.Event()
        while self.hold.exists():
            pause.wait(0.02)
        if any((image.reshape(-1, 3).mean(0).round() - MAGENTA).__abs__().max() < 30 for image in batch):
            raise RuntimeError("magenta is more than this model can take")
        return self.eye.forward(batch, min_confidence)


def load(path: Path, name: str) -> Pipeline:
    """Open the package as ever, and put a model that sees colours in each of its nodes."""
    package = open_package(path, name=name)
    model: Any = Moody(Path(os.environ[HOLD]))
    return Pipeline(package.manifest, lambda _node: model, digest=package.digest, warnings=package.warnings)


app = worker_app(functools.cache(lambda: Runtime(settings.load(), load)))
