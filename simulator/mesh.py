"""Solid bodies from flat polygons: built once, then placed, shaded and drawn for a frame."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.marks import Bgr, Image
from simulator.view import Points, View

#: Unit vector towards the sun: above, behind the camera, from the left.
SUN: Points = np.array((-0.45, 0.75, -0.48)) / math.sqrt(0.45**2 + 0.75**2 + 0.48**2)

#: OpenCV draws with this many fractional bits per coordinate, so that slow vehicles glide, not hop.
_SHIFT = 4


@dataclass(frozen=True, slots=True)
class Pose:
    """Where a body stands: its origin on the ground, metres, and its heading.

    Heading 0 faces the camera (towards -z); positive turns to the camera's right.
    """

    x_m: float
    z_m: float
    heading: float = 0.0

    def place(self, local: Points) -> Points:
        """Return local points (N, 3) in world metres."""
        cos, sin = math.cos(self.heading), math.sin(self.heading)
        x, z = local[:, 0], local[:, 2]
        return np.stack((self.x_m + x * cos - z * sin, local[:, 1], self.z_m + x * sin + z * cos), axis=1)


class MeshBuilder:
    """Collects polygons in the order in which they are painted: what lies behind comes first."""

    def __init__(self) -> None:
        self._points: list[Points] = []
        self._colours: list[Bgr] = []
        self._lit: list[bool] = []

    def add(self, points: Iterable[Sequence[float]], colour: Bgr, inside: Sequence[float], lit: bool = True) -> None:
        """Add one convex polygon; `inside` is any point behind it, which settles its outer side.

        Args:
            points: corners (N, 3) in local metres, in either turning direction.
            colour: paint before shading.
            inside: a point of the body behind the polygon.
            lit: False for lamps and screens, which keep their colour.
        """
        corners = np.array(list(points), np.float64)
        if np.dot(_normal(corners), corners.mean(axis=0) - np.array(inside)) < 0:
            corners = corners[::-1]
        self._points.append(corners)
        self._colours.append(colour)
        self._lit.append(lit)

    def box(self, low: Sequence[float], high: Sequence[float], colour: Bgr, lit: bool = True) -> None:
        """Add the faces of an upright box except its bottom, back first."""
        (x1, y1, z1), (x2, y2, z2) = low, high
        centre = ((x1 + x2) / 2, (y1 + y2) / 2, (z1 + z2) / 2)
        for corners in (
            ((x1, y1, z2), (x2, y1, z2), (x2, y2, z2), (x1, y2, z2)),
            ((x1, y1, z1), (x1, y1, z2), (x1, y2, z2), (x1, y2, z1)),
            ((x2, y1, z1), (x2, y1, z2), (x2, y2, z2), (x2, y2, z1)),
            ((x1, y2, z1), (x2, y2, z1), (x2, y2, z2), (x1, y2, z2)),
            ((x1, y1, z1), (x2, y1, z1), (x2, y2, z1), (x1, y2, z1)),
        ):
            self.add(corners, colour, centre, lit)

    def build(self) -> Mesh:
        """Return the finished mesh."""
        ends = np.cumsum([len(p) for p in self._points])
        quarters = np.array([[s + len(p) * q // 4 for q in range(4)] for s, p in zip(ends, self._points, strict=True)])
        return Mesh(
            points=np.concatenate(self._points),
            ends=ends,
            quarters=quarters - np.array([len(p) for p in self._points])[:, None],
            normals=np.array([_normal(p) for p in self._points]),
            colours=np.array(self._colours, np.float64),
            lit=np.array(self._lit),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Mesh:
    """Polygons ready to draw.

    Attributes:
        points: (P, 3) local metres, polygon after polygon.
        ends: (M,) index after each polygon's last point.
        quarters: (M, 4) four spread corners of each polygon, which tell its turning direction on the screen.
        normals, colours, lit: (M, 3) outward unit vectors, (M, 3) BGR, (M,) whether light changes the colour.
    """

    points: Points
    ends: npt.NDArray[np.int64]
    quarters: npt.NDArray[np.int64]
    normals: Points
    colours: Points
    lit: npt.NDArray[np.bool_]

    def outline(self, view: View, pose: Pose) -> Points:
        """Return the pixels (P, 2) of all points; their hull is the body's silhouette."""
        return view.project(pose.place(self.points))[0]

    def draw(self, canvas: Image, view: View, pose: Pose, zoom: float, origin: tuple[float, float]) -> None:
        """Paint the mesh.

        Args:
            canvas: (H, W, 3) BGR, changed in place.
            view: the camera.
            pose: where the body stands.
            zoom: canvas pixels per pixel of the view.
            origin: the pixel of the view that the canvas's pixel (0, 0) shows.
        """
        pixels = (self.outline(view, pose) - origin) * zoom - 0.5
        a, b, c, d = (pixels[self.quarters[:, i]] for i in range(4))
        area = (c[:, 0] - a[:, 0]) * (d[:, 1] - b[:, 1]) - (c[:, 1] - a[:, 1]) * (d[:, 0] - b[:, 0])
        cos, sin = math.cos(pose.heading), math.sin(pose.heading)
        sun = np.array((SUN[0] * cos + SUN[2] * sin, SUN[1], SUN[2] * cos - SUN[0] * sin))
        light = 0.56 + 0.50 * np.maximum(self.normals @ sun, 0.0)
        sky = 34.0 * np.maximum(self.normals[:, 1], 0.0) ** 2
        shaded = np.where(self.lit[:, None], self.colours * light[:, None] + sky[:, None], self.colours)
        colours = np.minimum(shaded, 255.0).tolist()
        fixed = np.round(pixels * (1 << _SHIFT)).clip(-(1 << 24), 1 << 24).astype(np.int32)
        start = 0
        for end, facing, colour in zip(self.ends.tolist(), (area > 0).tolist(), colours, strict=True):
            if facing:
                cv2.fillConvexPoly(canvas, fixed[start:end], colour, cv2.LINE_8, _SHIFT)
            start = end


def _normal(corners: Points) -> Points:
    n = len(corners)
    a, b, c, d = (corners[n * q // 4] for q in range(4)) if n > 3 else (*corners, corners[0])
    normal = np.cross(c - a, d - b)
    return np.asarray(normal / max(float(np.linalg.norm(normal)), 1e-9))
