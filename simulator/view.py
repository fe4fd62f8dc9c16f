"""The camera's eye: metres of the forecourt to pixels of the picture."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]

#: Every camera's picture.
WIDTH_PX, HEIGHT_PX = 960, 540
#: Nothing is drawn nearer than this; the projection divides by the depth.
NEAR_M = 0.6


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A pinhole camera on a mast at z = 0, looking along +z and a little down.

    World axes: x to the right, y up from the ground, z away from the camera, all in metres.

    Attributes:
        width, height: pixels of the picture.
        focal_px: focal length in pixels; 1150 at a width of 960 is a lens of 45 degrees.
        x_m, y_m: where the mast stands sideways and how high the lens is.
        pitch, yaw: radians the lens looks down, and to the right.
    """

    width: int = WIDTH_PX
    height: int = HEIGHT_PX
    focal_px: float = 1150.0
    x_m: float = 0.0
    y_m: float = 3.1
    pitch: float = math.radians(8.5)
    yaw: float = 0.0

    def project(self, points: Points) -> tuple[Points, Points]:
        """Return the pixels (N, 2) and the depths (N,) in metres of world points (N, 3)."""
        x, y, z = points[:, 0] - self.x_m, points[:, 1] - self.y_m, points[:, 2]
        cos, sin = math.cos(self.yaw), math.sin(self.yaw)
        x, z = x * cos - z * sin, x * sin + z * cos
        cos, sin = math.cos(self.pitch), math.sin(self.pitch)
        y, z = y * cos + z * sin, z * cos - y * sin
        depth = np.maximum(z, NEAR_M)
        scale = self.focal_px / depth
        return np.stack((self.width / 2 + x * scale, self.height / 2 - y * scale), axis=1), depth

    @property
    def eye(self) -> Points:
        """The lens's place in the world, (3,) metres."""
        return np.array((self.x_m, self.y_m, 0.0))
