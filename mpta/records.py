"""What goes into a pipeline and what comes out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mpta.manifest import Action

#: uint8, shape (height, width, 3), blue-green-red as OpenCV decodes it.
Image: TypeAlias = NDArray[np.uint8]
Box: TypeAlias = tuple[int, int, int, int]
Value: TypeAlias = str | float | int | bool | None
#: A flat detection; under `report: all` its key `objects` holds a list of such dicts.
Detection: TypeAlias = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Frame:
    """One camera image to run.

    Attributes:
        image: the full captured frame; never written to.
        crop: x1, y1, x2, y2 in its pixels: the part to look at. Cut to the frame where it sticks out.
        tracks: `Result.tracks` of the same camera's frame before this one; empty or foreign bytes start afresh.
        captured_ms: Unix time of the capture; track ids that start afresh start by it, so that none comes again.
    """

    image: Image
    crop: Box | None = None
    tracks: bytes = b""
    captured_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """The actions of one node for one object, to be run elsewhere.

    Attributes:
        uuid: names what happened to this object on this frame; the same for all its nodes.
        model_id: `modelId` of the node.
        context: class confidence id text x1 y1 x2 y2 of the node (pixels of the full frame; `id` is the tracked
            object's) and every field of the package, None where its node did not answer.
        image: what the node looked at, before resizing; a view of `Frame.image`.
    """

    uuid: str
    model_id: str
    actions: tuple[Action, ...]
    context: Mapping[str, Value]
    image: Image


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What one frame gave.

    Attributes:
        detection: flat: class, confidence and the contributed fields; None when nothing was seen.
        objects: one per counted root detection, highest confidence first: class confidence id box, the box
            x1 y1 x2 y2 in whole pixels of the full frame; with the fields under `report: all`.
        events: children before parents.
        tracks: tracker state to hand in with the same camera's next frame.
    """

    detection: Detection | None = None
    objects: tuple[Detection, ...] = ()
    events: tuple[Event, ...] = field(default=())
    tracks: bytes = b""
