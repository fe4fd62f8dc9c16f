"""Pixels onto pixels: soft shadows, pictures warped onto surfaces, and the way back to the picture's size."""

from __future__ import annotations

import cv2
import numpy as np

from simulator.forecourt import ZOOM
from simulator.marks import Image
from simulator.view import Points


def shrink(canvas: Image) -> Image:
    """Return the canvas averaged down by `ZOOM`."""
    size = (canvas.shape[1] // ZOOM, canvas.shape[0] // ZOOM)
    return np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)


def darken(canvas: Image, shadows: list[Points]) -> None:
    """Lay soft shadows on the ground: each four corners (4, 2) in canvas pixels."""
    height, width = canvas.shape[:2]
    every = np.concatenate(shadows)
    x1, y1 = np.maximum(every.min(axis=0) - 24, 0).astype(int)
    x2, y2 = np.minimum(every.max(axis=0) + 24, (width, height)).astype(int)
    if x2 - x1 < 8 or y2 - y1 < 8:
        return
    mask = np.full(((y2 - y1) // 4, (x2 - x1) // 4), 255, np.uint8)
    for shadow in shadows:
        cv2.fillConvexPoly(mask, np.round((shadow - (x1, y1)) / 4).astype(np.int32), (112,))
    soft = cv2.resize(cv2.blur(mask, (7, 7)), (int(x2 - x1), int(y2 - y1)))
    part = canvas[y1:y2, x1:x2]
    canvas[y1:y2, x1:x2] = cv2.multiply(part, cv2.cvtColor(soft, cv2.COLOR_GRAY2BGR), scale=1 / 255)


def stick(canvas: Image, picture: Image, mask: Image | None, target: Points) -> None:
    """Warp a picture onto four canvas points (4, 2), from its top left clockwise; `mask` is 255 where it covers."""
    height, width = canvas.shape[:2]
    x1, y1 = np.floor(target.min(axis=0)).astype(int)
    x2, y2 = np.ceil(target.max(axis=0)).astype(int) + 1
    if x2 <= 0 or y2 <= 0 or x1 >= width or y1 >= height or x2 - x1 > 800:
        return
    # Halve first: the warp samples four pixels and would drop the strokes of a plate far away.
    shrink = max(1, round(picture.shape[1] / max(x2 - x1, 1)))
    if shrink > 1:
        size = (max(2, picture.shape[1] // shrink), max(2, picture.shape[0] // shrink))
        picture = cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
        mask = mask if mask is None else cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    h, w = picture.shape[:2]
    source = np.array(((0, 0), (w, 0), (w, h), (0, h)), np.float32)
    homography = cv2.getPerspectiveTransform(source, (target - (x1, y1)).astype(np.float32))
    size = (int(x2 - x1), int(y2 - y1))
    solid = np.full((h, w), 255, np.uint8) if mask is None else mask
    warped = cv2.warpPerspective(picture, homography, size, borderMode=cv2.BORDER_REPLICATE)
    shape = cv2.warpPerspective(solid, homography, size)
    cx1, cy1, cx2, cy2 = max(x1, 0), max(y1, 0), min(x2, width), min(y2, height)
    window = np.s_[cy1 - y1 : cy2 - y1, cx1 - x1 : cx2 - x1]
    part = canvas[cy1:cy2, cx1:cx2]
    # Floats on a patch of a plate's size cost 0.1 ms.
    opacity = shape[window][..., None].astype(np.float32) / 255.0
    part[:] = (part * (1 - opacity) + warped[window] * opacity).astype(np.uint8)
