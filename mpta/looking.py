"""One node looking at many images: resize, one forward pass, and what counts of the answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mpta.images import Fit, batch, fit
from mpta.manifest import Node
from mpta.model import Model
from mpta.reading import reading_order
from mpta.records import Box, Image
from mpta.tracking import TrackerSettings


@dataclass(frozen=True, slots=True, eq=False)
class View:
    """A part of a frame: its pixels, and where its top left corner lies in the full frame."""

    image: Image
    left: int = 0
    top: int = 0

    @property
    def box(self) -> Box:
        """The part as x1 y1 x2 y2 of the full frame."""
        height, width = self.image.shape[:2]
        return self.left, self.top, self.left + width, self.top + height

    def inside(self, box: Box) -> View | None:
        """Return the part of this view that lies in a box of the full frame, or None where they do not meet."""
        x1, y1, x2, y2 = self.box
        left, top, right, bottom = max(box[0], x1), max(box[1], y1), min(box[2], x2), min(box[3], y2)
        if right <= left or bottom <= top:
            return None
        return View(self.image[top - y1 : bottom - y1, left - x1 : right - x1], left, top)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Answer:
    """One thing that a node saw.

    Attributes:
        label: class name; of a reading node, the text.
        box: x1 y1 x2 y2 in pixels of the full frame; of a classification, all that it looked at.
        view: what the node looked at.
    """

    label: str
    confidence: float
    box: Box
    view: View
    text: str | None = None
    track: int | None = None


class Looker:
    """A node with its model, and what follows from both, worked out once."""

    def __init__(self, node: Node, model: Model, *, is_root: bool) -> None:
        """Store them; `tracker` is None where nothing is tracked."""
        self.node, self.model = node, model
        self.classifies = model.task == "classify"
        self._resize = node.resize or ("stretch" if self.classifies else "letterbox")
        self._is_root = is_root
        self._counts = _counting(node, model, is_root=is_root)
        self.tracker: TrackerSettings | None = None
        kind = node.tracker or "bytetrack"
        if is_root and not self.classifies and kind != "none":
            self.tracker = TrackerSettings(kind, node.min_confidence)
        self._floor = min(node.min_confidence, self.tracker.low if self.tracker else 1.0)

    def raw(self, views: Sequence[View]) -> list[NDArray[np.float32]]:
        """Return what the model says of each view: see `Model.forward`, boxes in the view's own pixels.

        One forward pass; a root that letterboxes makes one per input shape, so that cameras of one size share it.
        """
        fits = [fit(v.image, self.model, self._resize, whole_input=not self._is_root) for v in views]
        found: list[NDArray[np.float32]] = [np.empty(0, np.float32)] * len(views)
        for shape in dict.fromkeys(each.shape for each in fits):
            chosen = [i for i, each in enumerate(fits) if each.shape == shape]
            images = batch([views[i].image for i in chosen], [fits[i] for i in chosen], smooth=self.classifies)
            for i, rows in zip(chosen, self.model.forward(images, self._floor), strict=True):
                found[i] = rows if self.classifies else self._boxes(rows, fits[i], views[i])
        return found

    def _boxes(self, rows: NDArray[np.float32], where: Fit, view: View) -> NDArray[np.float32]:
        """Return the boxes of classes that count, in the view's pixels, none without an area."""
        if self._counts is not None:
            rows = rows[self._counts[rows[:, 5].astype(np.intp)]]
        rows = where.boxes_back(rows, view.image)
        return rows[((rows[:, 2:4] - rows[:, :2]) > 0).all(1)]

    def answers(
        self, rows: NDArray[np.float32], view: View, tracks: Sequence[int | None] | None = None
    ) -> list[Answer]:
        """Return what counts of one view's raw answer, highest confidence first. `tracks`: the id of each row."""
        if self.classifies:
            return self._classified(rows, view)
        counted = np.flatnonzero(rows[:, 4] >= self.node.min_confidence)
        if self.node.read is not None:
            return self._read(rows[counted], view)
        counted = counted[np.argsort(-rows[counted, 4], kind="stable")]
        return [
            Answer(
                label=self.model.names[int(rows[i, 5])],
                confidence=_rounded(rows[i, 4]),
                box=_whole(rows[i], view),
                view=view,
                track=None if tracks is None else tracks[int(i)],
            )
            for i in counted
        ]

    def _classified(self, probabilities: NDArray[np.float32], view: View) -> list[Answer]:
        top = int(probabilities.argmax())
        if self._counts is not None and not self._counts[top]:
            return []
        if not probabilities[top] >= self.node.min_result_confidence:  # Not `<`: a broken model's NaN is no answer.
            return []
        label, confidence = self.model.names[top], _rounded(probabilities[top])
        return [Answer(label=label, confidence=confidence, box=view.box, view=view)]

    def _read(self, rows: NDArray[np.float32], view: View) -> list[Answer]:
        if not len(rows) or self.node.read is None:
            return []
        rows = rows[reading_order(rows, self.node.read)]
        text = "".join(self.model.names[int(index)] for index in rows[:, 5])
        around = np.concatenate([rows[:, :2].min(0), rows[:, 2:4].max(0)])
        confidence = _rounded(rows[:, 4].mean())
        return [Answer(label=text, text=text, confidence=confidence, box=_whole(around, view), view=view)]


def _counting(node: Node, model: Model, *, is_root: bool) -> NDArray[np.bool_] | None:
    """Return for each class index whether it counts, or None when all do."""
    names = set(model.names)
    wanted = node.classes
    if wanted is None:
        # A branch's triggers name its parent's classes; those that are also its own limit it, as they always did.
        wanted = node.trigger_classes & names if is_root or model.task != "classify" else None
    if wanted is None or not wanted & names or (model.task == "classify" and node.classes is None):
        return None
    return np.array([name in wanted for name in model.names])


def counted_classes(node: Node, model: Model, *, is_root: bool) -> frozenset[str]:
    """Return the names of the classes that the node can answer with."""
    counts = _counting(node, model, is_root=is_root)
    return frozenset(name for i, name in enumerate(model.names) if counts is None or counts[i])


def _whole(row: NDArray[np.float32], view: View) -> Box:
    """Return a box in whole pixels of the full frame, at least one pixel wide and high, inside the view."""
    height, width = view.image.shape[:2]
    x1, y1 = min(int(row[0]), width - 1), min(int(row[1]), height - 1)
    x2, y2 = max(min(round(float(row[2])), width), x1 + 1), max(min(round(float(row[3])), height), y1 + 1)
    return view.left + x1, view.top + y1, view.left + x2, view.top + y2


def _rounded(confidence: np.float32 | float) -> float:
    return round(float(confidence), 6)  # What float32 knows; 0.9 and not 0.8999999761581421.
