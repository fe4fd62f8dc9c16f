"""Boxes of single characters to one text."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mpta.manifest import Read

#: Two boxes that share more than this part of the smaller one are the same character seen as two classes.
_SAME_CHARACTER = 0.6


def reading_order(rows: NDArray[np.float32], direction: Read) -> NDArray[np.intp]:
    """Return the indices of the characters in reading order, by box centre.

    A model suppresses overlapping boxes of one class only; of boxes of two classes at one place, such as `0` and
    `O`, the more confident is read.
    Rows have shape (n, 6): x1 y1 x2 y2 confidence class.
    """
    kept: list[int] = []
    for index in np.argsort(-rows[:, 4], kind="stable"):
        if not any(_shared(rows[index], rows[other]) > _SAME_CHARACTER for other in kept):
            kept.append(int(index))
    chosen = np.array(kept, dtype=np.intp)
    axis = 0 if direction == "left-to-right" else 1
    centres = rows[chosen, axis] + rows[chosen, axis + 2]
    return chosen[np.argsort(centres, kind="stable")]


def _shared(one: NDArray[np.float32], other: NDArray[np.float32]) -> float:
    """Return the common area as a part of the smaller box."""
    sides = np.minimum(one[2:4], other[2:4]) - np.maximum(one[:2], other[:2])
    smaller = min(float(np.prod(box[2:4] - box[:2])) for box in (one, other))
    return float(np.prod(sides.clip(0))) / smaller if smaller > 0 else 1.0
