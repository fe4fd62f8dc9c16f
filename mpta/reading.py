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
    Rows have shape (n, 6): x1 y1 x2 y2 confidence class; every box has an area.
    """
    order = np.argsort(-rows[:, 4], kind="stable")
    same = (_shared(rows[order, :4]) > _SAME_CHARACTER).tolist()
    kept: list[int] = []
    for place, others in enumerate(same):
        if not any(others[earlier] for earlier in kept):
            kept.append(place)
    chosen = order[kept]
    axis = 0 if direction == "left-to-right" else 1
    centres = rows[chosen, axis] + rows[chosen, axis + 2]
    return chosen[np.argsort(centres, kind="stable")]


def _shared(boxes: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the common area of every two boxes as a part of the smaller one, shape (n, n)."""
    sides = np.minimum(boxes[:, None, 2:], boxes[:, 2:]) - np.maximum(boxes[:, None, :2], boxes[:, :2])
    common = sides.clip(0).prod(2)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    return np.asarray(common / np.minimum.outer(areas, areas))
