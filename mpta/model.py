"""What the tree needs of a model, whatever runs it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Task: TypeAlias = Literal["detect", "classify", "segment", "pose", "obb"]
TASKS: tuple[Task, ...] = ("detect", "classify", "segment", "pose", "obb")
#: Images per forward pass: keeps hundreds of crops from asking for gigabytes at once.
MAX_BATCH = 64


@runtime_checkable
class Model(Protocol):
    """One loaded model. Called from one thread at a time per pipeline.

    Attributes:
        names: class names by class index.
        imgsz: height and width in pixels that it was made for.
        stride: the input's sides may be any multiple of it, so that a wide frame needs no square; 0: only `imgsz`.
    """

    @property
    def names(self) -> Sequence[str]: ...

    @property
    def task(self) -> Task: ...

    @property
    def imgsz(self) -> tuple[int, int]: ...

    @property
    def stride(self) -> int: ...

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> Sequence[NDArray[np.float32]]:
        """Run the model once over the whole batch and return one array per image.

        Args:
            batch: shape (images, height, width, 3), blue-green-red, already at the input size.
            min_confidence: least confidence of a box that is of use.

        Returns:
            Classification: the probability of each class, shape (classes,). All others: shape (boxes, 6), rows of
            x1 y1 x2 y2 confidence class index, in pixels of the batch, overlapping boxes of a class suppressed.
        """
        ...
