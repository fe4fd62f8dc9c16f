"""From the stored JPEG to the picture that the pipeline sees."""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]

_ROTATE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_FLIP = {"x": 0, "y": 1}


def decode(jpeg: bytes) -> Image | None:
    """Return the picture as uint8 BGR of shape (height, width, 3), or None when it is no picture."""
    try:
        return cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)  # type: ignore[return-value]
    except cv2.error:
        return None


def orient(image: Image, rotate: int, mirror: Literal["none", "x", "y"]) -> Image:
    """Return `image` turned clockwise by `rotate` degrees, then mirrored (`x`: upside down, `y`: left to right)."""
    if rotate:
        image = cv2.rotate(image, _ROTATE[rotate])  # type: ignore[assignment]
    if mirror != "none":
        image = cv2.flip(image, _FLIP[mirror])  # type: ignore[assignment]
    return image
