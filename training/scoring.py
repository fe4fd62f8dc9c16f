"""From found boxes and true ones to average precision."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from simulator.scene import Box

IOU = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One detection: its class, confidence 0 to 1, and box in pixels."""

    label: str
    confidence: float
    box: Box


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """One true object; an `optional` one (too hidden, too small) is neither a miss nor a false alarm."""

    label: str
    box: Box
    optional: bool


def overlap(a: Box, b: Box) -> tuple[float, float]:
    """Return intersection over union, and the share of `a` that lies in `b`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0, 0.0
    both = width * height
    area_a, area_b = (a[2] - a[0]) * (a[3] - a[1]), (b[2] - b[0]) * (b[3] - b[1])
    return both / (area_a + area_b - both), both / area_a


def match(found: Sequence[Found], wanted: Sequence[Wanted]) -> list[int | None]:
    """Return for each wanted object the index of its detection, the most confident first, or None."""
    taken: list[int | None] = [None] * len(wanted)
    for index in sorted(range(len(found)), key=lambda i: -found[i].confidence):
        best = max(
            (n for n in range(len(wanted)) if taken[n] is None),
            key=lambda n: overlap(found[index].box, wanted[n].box)[0],
            default=None,
        )
        if best is not None and overlap(found[index].box, wanted[best].box)[0] >= IOU:
            taken[best] = index
    return taken


def average_precision(frames: Sequence[tuple[Sequence[Found], Sequence[Wanted]]], label: str) -> float:
    """Return the area under the precision-recall curve of one class at IoU 0.5, 0 to 1.

    All points interpolated, as PASCAL VOC has done since 2010.
    """
    outcomes: list[tuple[float, bool]] = []
    total = 0
    for found, wanted in frames:
        mine = [f for f in found if f.label == label]
        true = [w for w in wanted if w.label == label and not w.optional]
        spare = [w for w in wanted if w.optional]
        total += len(true)
        hits = {index for index in match(mine, true) if index is not None}
        for index, one in enumerate(mine):
            if index in hits or not any(overlap(one.box, w.box)[1] >= IOU for w in spare):
                outcomes.append((one.confidence, index in hits))
    if not total or not outcomes:
        return 0.0
    outcomes.sort(key=lambda outcome: -outcome[0])
    correct = np.cumsum([hit for _, hit in outcomes])
    recall = correct / total
    precision = correct / np.arange(1, len(outcomes) + 1)
    envelope = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(np.concatenate(([0.0], recall))) * envelope))
