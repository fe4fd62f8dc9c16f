"""A real worker whose models see colours: `celery -A tests.integration.tasks.colour_worker worker`.

Orange is a car, blue a truck; a magenta picture makes the model fail. Files make moods, `hold` being named by `HOLD`:

    hold          while it exists, a forward pass does not end
    hold.load     while it exists, loading does not end; `hold.loading` appears meanwhile
    hold.bug      loading fails as only our own mistakes do
"""

from __future__ import annotations

import functools
import os
import threading
from collections.abc import Callable, Sequence
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


def wait_while(held: Callable[[], bool]) -> None:
    """Return when `held()` is false."""
    pause = threading.Event()
    while held():
        pause.wait(0.02)


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
        wait_while(self.hold.exists)
        if any((image.reshape(-1, 3).mean(0).round() - MAGENTA).__abs__().max() < 30 for image in batch):
            raise RuntimeError("magenta is more than this model can take")
        return self.eye.forward(batch, min_confidence)


def load(path: Path, name: str) -> Pipeline:
    """Open the package as ever, and put a model that sees colours in each of its nodes."""
    hold = Path(os.environ[HOLD])
    if hold.with_suffix(".bug").exists():
        raise AssertionError("a mistake of ours")
    if hold.with_suffix(".load").exists():
        hold.with_suffix(".loading").touch()
        wait_while(hold.with_suffix(".load").exists)
    package = open_package(path, name=name)
    model: Any = Moody(hold)
    return Pipeline(package.manifest, lambda _node: model, digest=package.digest, warnings=package.warnings)


app = worker_app(functools.cache(lambda: Runtime(settings.load(), load)))
