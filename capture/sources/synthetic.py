"""A test pattern: `synthetic://640x360@25`, a box that moves over a grey picture that carries its own number."""

from __future__ import annotations

import re
import time
from collections.abc import Generator
from typing import Any

import numpy as np
from av import VideoFrame
from numpy.typing import NDArray

from capture.errors import SourceRefused
from capture.pictures import Decoded
from capture.sources.source import Opening
from contract.nodes import now_ms
from contract.problems import Code

Image = NDArray[np.uint8]

_ADDRESS = re.compile(r"synthetic://(\d{2,4})x(\d{2,4})(?:@(\d{1,3}))?/?(?:[?#].*)?")
_DEFAULT_FPS = 25
_BITS = 16
_MIN_PX, _MAX_PX = 64, 4096
_DARK, _LIGHT, _GREY = 16, 235, 96


class Synthetic:
    """Frames made here; two addresses that differ behind a `?` are two cameras."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def pictures(self) -> Generator[Decoded]:
        """Yield numbered frames at the address's rate."""
        width, height, fps = self._size()
        began_s = time.monotonic()
        for number in range(2**63):
            if self._opening.wait(max(0.0, began_s + number / fps - time.monotonic())):
                return
            yield Decoded(now_ms(), VideoFrame.from_ndarray(paint(number, width, height), format="bgr24"))

    def _size(self) -> tuple[int, int, int]:
        match = _ADDRESS.fullmatch(self._opening.url)
        width, height, fps = (int(text or _DEFAULT_FPS) for text in match.groups()) if match else (0, 0, 0)
        if not (_MIN_PX <= width <= _MAX_PX and _MIN_PX <= height <= _MAX_PX and 1 <= fps <= 120):
            raise SourceRefused(
                Code.CAMERA_UNSUPPORTED, "a test pattern is named like synthetic://640x360@25 (width, height, frames/s)"
            )
        return width, height, fps


def paint(number: int, width: int, height: int) -> Image:
    """Return frame `number`, shape (height, width, 3), BGR: its low 16 bits stand as blocks along the top edge."""
    image: Image = np.full((height, width, 3), _GREY, np.uint8)
    side = width // _BITS
    for bit in range(_BITS):
        image[:side, bit * side : (bit + 1) * side] = _LIGHT if number >> bit & 1 else _DARK
    box = max(8, height // 6)
    left, top = number * 8 % (width - box), height // 2
    image[top : top + box, left : left + box] = (0, 200, 255)
    return image


def number_of(image: NDArray[Any]) -> int:
    """Return the number, modulo 2^16, that `paint` put into `image` (BGR), also after it has been a JPEG."""
    side = image.shape[1] // _BITS
    middles = image[side // 2, side // 2 : side * _BITS : side].mean(axis=1)
    return sum(1 << bit for bit, level in enumerate(middles) if level > _GREY)
