"""How the camera moved between two frames, measured on what does not move by itself."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from mpta.records import Image

#: Most corners kept of a frame; bounds a scene at 7 KiB.
_CORNERS = 200
#: Frames are looked at no larger than this: a pixel of it is exact enough to follow boxes.
_LONGEST_SIDE = 640
_LEAST_MATCHES = 12
#: A match that would have moved further than this part of the frame is a mistake.
_FURTHEST = 0.25
#: Height and width of the frame, number of corners; then x y of each in 1/64 pixel of the smaller image, descriptors.
_HEADER = struct.Struct("<IIH")
_SUBPIXEL = 64
_DESCRIPTOR_BYTES = 32

Warp = NDArray[np.float64]


def scene(image: Image, boxes: NDArray[np.float32]) -> bytes:
    """Return the corners of a frame outside the boxes of what may move, shape (n, 4+): x1 y1 x2 y2 in its pixels."""
    import cv2  # Here and not above: checking a package needs no OpenCV.

    height, width = image.shape[:2]
    scale = _scale(height, width)
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    grey = cv2.cvtColor(cv2.resize(image, size, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    still = np.full(grey.shape, 255, np.uint8)
    for x1, y1, x2, y2 in (boxes[:, :4] * scale).astype(int):
        still[max(y1, 0) : y2 + 1, max(x1, 0) : x2 + 1] = 0
    corners, found = cv2.ORB.create(_CORNERS).detectAndCompute(grey, still)
    places = np.array([corner.pt for corner in corners], np.float64).reshape(-1, 2)[:_CORNERS]
    descriptors = np.zeros((0, _DESCRIPTOR_BYTES), np.uint8) if found is None else found[:_CORNERS]
    return (
        _HEADER.pack(height, width, len(places))
        + (places * _SUBPIXEL).round().astype("<u2").tobytes()
        + descriptors.tobytes()
    )


def warp(before: bytes, after: bytes) -> Warp | None:
    """Return what moves a point of one scene to its place in the other: a similarity, shape (2, 3), in frame pixels.

    None where that cannot be told: no scene before, another size of frame, or too little to see.
    """
    import cv2

    earlier, later = _read(before), _read(after)
    if earlier is None or later is None or earlier[0] != later[0]:
        return None
    (height, width), places, descriptors = earlier
    matches = cv2.BFMatcher(cv2.NORM_HAMMING, crossCheck=True).match(descriptors, later[2])
    pairs = np.array([(match.queryIdx, match.trainIdx) for match in matches], np.intp).reshape(-1, 2)
    origin, target = places[pairs[:, 0]], later[1][pairs[:, 1]]
    scale = _scale(height, width)
    near = (np.abs(target - origin) < _FURTHEST * scale * np.array([width, height])).all(1)
    if near.sum() < _LEAST_MATCHES:
        return None
    found, agree = cv2.estimateAffinePartial2D(origin[near], target[near], method=cv2.RANSAC)
    if found is None or agree.sum() < _LEAST_MATCHES / 2 or agree.mean() < 0.3:
        return None
    moved = np.asarray(found, np.float64)
    moved[:, 2] /= scale
    return moved


def _read(content: bytes) -> tuple[tuple[int, int], Warp, NDArray[np.uint8]] | None:
    if len(content) < _HEADER.size:
        return None
    height, width, count = _HEADER.unpack_from(content)
    start = _HEADER.size + count * 4
    if not count or len(content) != start + count * _DESCRIPTOR_BYTES:
        return None
    places = np.frombuffer(content, "<u2", count * 2, _HEADER.size).reshape(-1, 2) / _SUBPIXEL
    descriptors = np.frombuffer(content, np.uint8, offset=start).reshape(-1, _DESCRIPTOR_BYTES)
    return (height, width), places, descriptors


def _scale(height: int, width: int) -> float:
    return min(1.0, _LONGEST_SIDE / max(height, width))
