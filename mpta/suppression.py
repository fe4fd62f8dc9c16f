"""Raw YOLO output to boxes, in numpy: the same as ultralytics' suppression gives, without torch."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

#: As ultralytics' `predict` has them, so that a package behaves as its author saw it.
IOU = 0.7
MAX_BOXES = 300
#: Candidates compared with each other, the most confident first: bounds time and memory where nothing is filtered.
MAX_CANDIDATES = 30_000
#: Oriented boxes are compared all with all: 2000 of them are 16 MB per matrix.
MAX_ORIENTED_CANDIDATES = 2_000
#: Moves the boxes of each class to a place of their own; larger than any input.
_CLASS_OFFSET = np.float32(7680)


def suppress(raw: Floats, classes: int, min_confidence: float, *, oriented: bool) -> Floats:
    """Return the boxes of one image, the most confident first, overlapping boxes of a class suppressed.

    Args:
        raw: shape (4 + classes + extra, anchors): centre x, centre y, width, height, the score of each class, and what
            the task adds (mask coefficients, keypoints); the angle in radians is last where `oriented`.
        classes: how many classes there are.
        min_confidence: least confidence of a box that is of use.
        oriented: boxes have an angle.

    Returns:
        Rows of x1 y1 x2 y2 confidence class; of an oriented box, the upright one around it.
    """
    scores = raw[4 : 4 + classes]
    best = scores.max(0)
    chosen = np.flatnonzero(best > _least(min_confidence))
    most = MAX_ORIENTED_CANDIDATES if oriented else MAX_CANDIDATES
    chosen = chosen[np.argsort(-best[chosen], kind="stable")[:most]]
    centres, sizes = raw[:2, chosen].T, raw[2:4, chosen].T
    labels = scores[:, chosen].argmax(0).astype(np.float32)
    rows = np.hstack([centres - sizes / 2, centres + sizes / 2, best[chosen, None], labels[:, None]])
    offsets = labels[:, None] * _CLASS_OFFSET
    if not oriented:
        return rows[_greedy(rows[:, :4] + offsets)]
    angles = raw[-1, chosen]
    kept = _unlike_all_before(centres + offsets, sizes, angles)[:MAX_BOXES]
    rows[:, :4] = upright(centres, sizes, angles)
    return rows[kept]


def finished(rows: Floats, min_confidence: float, *, oriented: bool) -> Floats:
    """Return the boxes of one image whose model suppresses by itself, shape (boxes, 6), as `suppress` does.

    Rows have shape (boxes, 6+): corners, or centre and size where `oriented`, then confidence and class; the angle is
    last. Rows that only fill up have confidence 0.
    """
    kept = rows[rows[:, 4] > _least(min_confidence)][:MAX_BOXES]
    if not oriented:
        return kept[:, :6]
    return np.hstack([upright(kept[:, :2], kept[:, 2:4], kept[:, -1]), kept[:, 4:6]])


def upright(centres: Floats, sizes: Floats, angles: Floats) -> Floats:
    """Return x1 y1 x2 y2 of the upright box around each oriented one."""
    cos, sin = np.abs(np.cos(angles)), np.abs(np.sin(angles))
    width, height = sizes.T
    halves = np.stack([width * cos + height * sin, width * sin + height * cos], 1) / 2
    return np.hstack([centres - halves, centres + halves])


def _least(min_confidence: float) -> np.float32:
    """Return what a confidence must be above, to be at `min_confidence` or above for a float32."""
    return np.float32(max(0.0, min_confidence - 1e-6))


def _greedy(boxes: Floats) -> NDArray[np.intp]:
    """Return which boxes to keep, at most MAX_BOXES: each drops those after it that share more than IOU with it."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.arange(len(boxes))
    kept: list[int] = []
    while len(left) and len(kept) < MAX_BOXES:
        first, left = left[0], left[1:]
        kept.append(int(first))
        corners = np.maximum(boxes[first, :2], boxes[left, :2]), np.minimum(boxes[first, 2:], boxes[left, 2:])
        shared = (corners[1] - corners[0]).clip(0).prod(1)
        # As a product, so that two boxes without an area need no division.
        left = left[shared <= np.float32(IOU) * (areas[first] + areas[left] - shared)]
    return np.array(kept, np.intp)


def _unlike_all_before(centres: Floats, sizes: Floats, angles: Floats) -> NDArray[np.intp]:
    """Return which oriented boxes share at most IOU with every one before them, kept or not.

    Boxes are compared as Gaussians: J. M. Llerena et al., Gaussian Bounding Boxes and Probabilistic
    Intersection-over-Union for Object Detection, 2021 (arXiv 2106.06072).
    """
    variances = sizes**2 / 12
    cos, sin = np.cos(angles), np.sin(angles)
    a = variances[:, 0] * cos**2 + variances[:, 1] * sin**2
    b = variances[:, 0] * sin**2 + variances[:, 1] * cos**2
    c = (variances[:, 0] - variances[:, 1]) * cos * sin
    dx, dy = (np.subtract.outer(axis, axis) for axis in centres.T)
    sum_a, sum_b, sum_c = (np.add.outer(each, each) for each in (a, b, c))
    spread = sum_a * sum_b - sum_c**2
    apart = (sum_a * dy**2 + sum_b * dx**2 - 2 * sum_c * dx * dy) / (spread + _TINY) / 4
    own = (a * b - c**2).clip(0)
    unlike = np.log(spread / (4 * np.sqrt(np.multiply.outer(own, own)) + _TINY) + _TINY) / 2
    distance = np.sqrt(1 - np.exp(-(apart + unlike).clip(_TINY, 100)) + _TINY)
    return np.flatnonzero(~np.triu(1 - distance > IOU, 1).any(0))


_TINY = np.float32(1e-7)
