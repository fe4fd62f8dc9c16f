"""Pictures on their way from a camera to the frames server: JPEG from the start, or decoded and encoded when wanted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import cv2
import numpy as np
from av import VideoFrame
from av.video.reformatter import VideoReformatter

# Cameras are many and cores few: a thread pool per encoder call would only add switches.
cv2.setNumThreads(1)

#: A camera that sends more than this for one picture is not sending pictures.
MAX_PICTURE_BYTES = 16 * 1024 * 1024

_SOI = b"\xff\xd8"
#: Start-of-frame markers: all of C0..CF but DHT (C4), JPG (C8) and DAC (CC).
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
#: Markers that stand alone: TEM, RST0..RST7, SOI.
_BARE = frozenset({0x01, *range(0xD0, 0xD9)})


@dataclass(frozen=True, slots=True)
class Encoded:
    """One picture as the camera sent it.

    Attributes:
        captured_ms: Unix ms at which its last byte reached us.
        jpeg: the camera's bytes, untouched.
        unchanged: the camera was asked and gave the same bytes as the time before.
    """

    captured_ms: int
    jpeg: bytes
    unchanged: bool = False


@dataclass(frozen=True, slots=True)
class Decoded:
    """One decoded picture.

    Attributes:
        captured_ms: Unix ms at which its packet reached us.
        frame: any pixel format that FFmpeg knows.
    """

    captured_ms: int
    frame: VideoFrame


Picture = Encoded | Decoded


def jpeg_size(jpeg: bytes) -> tuple[int, int]:
    """Return (width, height) in pixels from the header of `jpeg`; nothing is decoded.

    Raises:
        ValueError: not a JPEG picture, or cut off before its size.
    """
    if jpeg[:2] != _SOI:
        raise ValueError("no JPEG picture")
    at = 2
    while at + 9 <= len(jpeg):
        if jpeg[at] != 0xFF:
            raise ValueError("a damaged JPEG header")
        marker = jpeg[at + 1]
        if marker in _SOF:
            height, width = (int.from_bytes(jpeg[i : i + 2], "big") for i in (at + 5, at + 7))
            return width, height
        if marker == 0xFF:  # Fill bytes may stand before any marker.
            at += 1
        elif marker in _BARE:
            at += 2
        else:
            at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    raise ValueError("a JPEG header without a size")


def is_jpeg(data: bytes) -> bool:
    """Return whether `data` begins as a JPEG picture does that has a size."""
    try:
        return jpeg_size(data) > (0, 0)
    except ValueError:
        return False


class JpegEncoder:
    """Encodes the frames of one camera. Not for two threads at once.

    cv2 needs 0.9 ms of CPU for a 960x540 frame where FFmpeg's own MJPEG encoder needs 3.4 ms (measured).
    """

    def __init__(self, quality: int) -> None:
        self._parameters = [cv2.IMWRITE_JPEG_QUALITY, quality]
        # Kept: it holds the tables of the colour conversion, which is the same for every frame.
        self._reformatter = VideoReformatter()

    def encode(self, frame: VideoFrame) -> bytes:
        """Return `frame` as a JPEG picture of the same size."""
        image = cast("np.ndarray[Any, Any]", self._reformatter.reformat(frame, format="bgr24", threads=1).to_ndarray())
        _, jpeg = cv2.imencode(".jpg", image, self._parameters)
        return jpeg.tobytes()
