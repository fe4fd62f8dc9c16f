"""Results drawn onto their frame: boxes, ids, classes and fields, for people to look at."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np

from mpta.records import Image, Result

Colour = tuple[int, int, int]

#: Okabe and Ito's palette, which colour-blind people can tell apart; blue-green-red. Without its black.
PALETTE: tuple[Colour, ...] = (
    (0, 159, 230),
    (233, 180, 86),
    (115, 158, 0),
    (66, 228, 240),
    (178, 114, 0),
    (0, 94, 213),
    (167, 121, 204),
)
_INK, _GROUND = (20, 20, 20), (40, 40, 40)
#: Keys of an object that are drawn in its first line, or as its box.
_HEAD = frozenset(("class", "confidence", "id", "box", "objects"))
_LONGEST = 48
#: Height of a frame for which a letter is 18 pixels high.
_USUAL_HEIGHT, _LETTER = 540, 18


def drawn(image: Image, result: Result) -> Image:
    """Return a copy of the frame with what was seen on it.

    Each object gets its box, class, confidence and id; under `report: all` its fields too, else those of the detection
    stand at the surest object. A classification has no box: it stands in the frame's upper left corner.
    """
    canvas = np.ascontiguousarray(image).copy()
    letter = max(11, round(_LETTER * image.shape[0] / _USUAL_HEIGHT))
    detection = result.detection
    if detection is not None and not result.objects:
        _sign(canvas, (0, 0), _lines(detection), letter, PALETTE[0])
    # The surest last, so that it lies on top.
    for place in reversed(range(len(result.objects))):
        found = result.objects[place]
        # The class in the detection is the deciding branch's where the package has no fields.
        said = {**found, **detection} if place == 0 and detection is not None and "objects" not in detection else found
        colour = PALETTE[zlib.crc32(str(found["class"]).encode()) % len(PALETTE)]
        x1, y1, x2, y2 = found["box"]
        width = max(1, letter // (6 if place == 0 else 9))
        cv2.rectangle(canvas, (x1, y1), (x2 - 1, y2 - 1), colour, width)
        _sign(canvas, (x1, y1), _lines(said), letter, colour)
    return canvas


def _lines(said: Mapping[str, Any]) -> list[str]:
    """Return what is written at an object: class, confidence and id, then a line for each field that has a value."""
    track = said.get("id")
    head = f"{said['class']} {said['confidence']:.2f}" + ("" if track is None else f" #{track}")
    fields = [f"{name} {_value(value)}" for name, value in said.items() if name not in _HEAD and value is not None]
    return [_short(line) for line in (head, *fields)]


def _value(value: object) -> str:
    return f"{value:.2f}" if isinstance(value, float) else str(value)


def _short(line: str) -> str:
    printable = "".join(character if character.isprintable() else "?" for character in line)
    return printable if len(printable) <= _LONGEST else printable[: _LONGEST - 1] + "…"


def _sign(canvas: Image, corner: tuple[int, int], lines: Sequence[str], letter: int, colour: Colour) -> None:
    """Write lines above a box's upper left corner, or below it where the frame ends: the first on the box's colour."""
    font = cv2.FontFace("sans")
    height, width = canvas.shape[:2]
    step, pad = round(letter * 1.35), letter // 3
    wide = max(cv2.getTextSize((width, height), line, (0, 0), font, letter)[2] for line in lines) + 2 * pad
    left = max(0, min(corner[0], width - wide))
    top = corner[1] - step * len(lines)
    top = max(0, min(top if top >= 0 else corner[1], height - step * len(lines)))
    below = canvas[top + step : top + step * len(lines), left : left + wide]
    below[:] = (below * 0.35 + np.array(_GROUND) * 0.65).astype(np.uint8)
    canvas[top : top + step, left : left + wide] = colour
    for number, line in enumerate(lines):
        at = left + pad, top + step * number + round(letter * 1.0)
        cv2.putText(canvas, line, at, _INK if number == 0 else (255, 255, 255), font, letter)
