"""The place itself: ground, road, shop, canopy and pumps, drawn once per camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from simulator.marks import Bgr, Image
from simulator.mesh import Mesh, MeshBuilder, Pose
from simulator.view import Points, View

#: Everything is drawn this much finer than the picture, then averaged down: no jagged edges.
ZOOM = 2

_GROUND_X_M, _GROUND_Z_M, _GROUND_PX_PER_M = (-30.0, 30.0), (2.0, 62.0), 24
_ACCENTS: tuple[Bgr, ...] = ((60, 60, 200), (170, 96, 20), (84, 140, 30), (20, 130, 235), (140, 50, 110))


@dataclass(frozen=True, slots=True)
class Prop:
    """A fixed body that vehicles can pass behind."""

    mesh: Mesh
    pose: Pose


@dataclass(frozen=True, slots=True)
class Forecourt:
    """One camera's empty forecourt.

    Attributes:
        picture: (1080, 1920, 3) BGR, `ZOOM` times the view's size, props included.
        props: pumps and columns, far to near.
    """

    picture: Image
    props: tuple[Prop, ...]


def build_forecourt(view: View, random: np.random.Generator, *, shop_right: bool) -> Forecourt:
    """Draw the forecourt as this view sees it; the same random state gives the same place."""
    accent = _ACCENTS[random.integers(len(_ACCENTS))]
    picture = _sky(view, random)
    _trees(picture, view, random)
    _ground(picture, view, random)
    _draw(picture, view, _shop(accent, 1.0 if shop_right else -1.0), Pose(0, 0))
    _sign(picture, view, 1.0 if shop_right else -1.0)
    _draw(picture, view, _canopy(accent), Pose(0, 0))
    pump, column = _pump(accent), _column()
    props = [Prop(pump, Pose(x, z)) for x, z in ((-4.7, 13.6), (4.7, 13.6), (0.0, 16.6), (0.0, 11.2))]
    props += [Prop(column, Pose(0.0, z)) for z in (13.9, 20.5)]
    props.sort(key=lambda prop: -prop.pose.z_m)
    for prop in props:
        _draw(picture, view, prop.mesh, prop.pose)
    return Forecourt(picture, tuple(props))


def _draw(picture: Image, view: View, mesh: Mesh, pose: Pose) -> None:
    mesh.draw(picture, view, pose, ZOOM, (0.0, 0.0))


def _pixels(view: View, points: list[tuple[float, float, float]]) -> npt.NDArray[np.float32]:
    return (view.project(np.array(points, np.float64))[0] * ZOOM).astype(np.float32)


def _clouds(random: np.random.Generator, height: int, width: int, cells: tuple[int, ...]) -> Points:
    """Return smooth noise (height, width), about -1 to 1, summed over cell counts from coarse to fine."""
    total = np.zeros((height, width))
    for weight, n in enumerate(cells, start=1):
        coarse = random.normal(size=(max(2, n * height // width), n)).astype(np.float32)
        total += cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) / weight
    return total / max(float(np.abs(total).max()), 1e-6)


def _sky(view: View, random: np.random.Generator) -> Image:
    height, width = view.height * ZOOM, view.width * ZOOM
    top, low = np.array((214, 168, 112.0)), np.array((236, 224, 206.0))
    grey = random.uniform(0.0, 0.8)
    top = top * (1 - grey) + np.array((190, 184, 178.0)) * grey
    share = np.linspace(0, 1, height)[:, None, None] ** 0.5
    sky = top * (1 - share) + low * share + np.zeros((height, width, 1))
    sky += (np.maximum(_clouds(random, height, width, (4, 9, 22)), 0) * 46)[..., None]
    return sky.clip(0, 255).astype(np.uint8)


def _trees(picture: Image, view: View, random: np.random.Generator) -> None:
    for _ in range(130):
        x, z = random.uniform(-34, 34), random.uniform(46, 60)
        size = random.uniform(1.2, 2.8)
        (px, py), (_, top) = _pixels(view, [(x, size * 0.8, z), (x, size * 1.9, z)])
        radius = max(2, int(py - top))
        green = (int(random.uniform(34, 62)), int(random.uniform(78, 122)), int(random.uniform(48, 82)))
        cv2.ellipse(picture, (int(px), int(py)), (int(radius * 1.25), radius), 0, 0, 360, green, -1, cv2.LINE_AA)
        lighter = tuple(int(c * 1.2) for c in green)
        cv2.circle(picture, (int(px - radius * 0.3), int(py - radius * 0.4)), radius // 2, lighter, -1, cv2.LINE_AA)


def _ground(picture: Image, view: View, random: np.random.Generator) -> None:
    """Paint the ground as seen from above, then lay it under the view."""
    scale = _GROUND_PX_PER_M
    width = int((_GROUND_X_M[1] - _GROUND_X_M[0]) * scale)
    height = int((_GROUND_Z_M[1] - _GROUND_Z_M[0]) * scale)
    plan = np.zeros((height, width, 3), np.uint8)

    def area(x1: float, x2: float, z1: float, z2: float, colour: Bgr) -> None:
        a = (round((x1 - _GROUND_X_M[0]) * scale), round((z1 - _GROUND_Z_M[0]) * scale))
        b = (round((x2 - _GROUND_X_M[0]) * scale), round((z2 - _GROUND_Z_M[0]) * scale))
        cv2.rectangle(plan, a, b, colour, -1)

    tone = int(random.uniform(-10, 12))
    area(-30, 30, 2, 62, (58 + tone, 104 + tone, 78 + tone))
    area(-12.5, 12.5, 2, 34, (96 + tone, 96 + tone, 95 + tone))
    area(-30, 30, 33.5, 41, (78 + tone, 77 + tone, 76 + tone))
    area(-6.5, 6.5, 6, 22, (142 + tone, 146 + tone, 150 + tone))
    for x in np.arange(-30, 30, 3.0):
        area(x, x + 1.4, 37.2, 37.35, (225, 228, 230))
    for z in np.arange(6, 22.1, 4.0):
        area(-6.5, 6.5, z, z + 0.05, (112, 114, 116))
    for x in (-6.5, -3.9, -0.75, 0.75, 3.9, 6.5):
        area(x - 0.05, x + 0.05, 6, 22, (60, 190, 226) if abs(x) in (0.75, 3.9) else (112, 114, 116))
    for x in (-2.1, 2.1):
        _stains(plan, random, (x - _GROUND_X_M[0]) * scale, (12.0 - _GROUND_Z_M[0]) * scale)
        area(x - 0.07, x + 0.07, 25, 28, (225, 228, 230))
        tip = [
            ((px - _GROUND_X_M[0]) * scale, (pz - _GROUND_Z_M[0]) * scale)
            for px, pz in ((x, 24.0), (x - 0.35, 25.2), (x + 0.35, 25.2))
        ]
        cv2.fillPoly(plan, [np.array(tip, np.int32)], (225, 228, 230), cv2.LINE_AA)
    area(-0.62, 0.62, 10.2, 21.4, (168, 172, 174))
    area(-0.52, 0.52, 10.3, 21.3, (188, 191, 192))
    for side in (-1, 1):
        left, right = sorted((side * 4.3, side * 5.2))
        area(left, right, 12.4, 15.0, (178, 182, 184))
    grain = _clouds(random, height, width, (6, 18, 60)) * 10 + random.normal(size=(height, width)) * 5
    plan = (plan + grain[..., None]).clip(0, 255).astype(np.uint8)
    x1, (z1, z2) = _GROUND_X_M[0], _GROUND_Z_M
    # A homography needs four points in front of the camera; these are the middle of the plan, not its corners.
    inner = [(-8.0, 8.0), (8.0, 8.0), (20.0, z2), (-20.0, z2)]
    source = np.array([((x - x1) * scale, (z - z1) * scale) for x, z in inner], np.float32)
    target = _pixels(view, [(x, 0.0, z) for x, z in inner])
    size = (picture.shape[1], picture.shape[0])
    homography = cv2.getPerspectiveTransform(source, target)
    cv2.warpPerspective(plan, homography, size, picture, cv2.INTER_LINEAR, cv2.BORDER_TRANSPARENT)


def _stains(plan: Image, random: np.random.Generator, x: float, z: float) -> None:
    for _ in range(5):
        at = (int(x + random.normal() * 12), int(z + random.normal() * 40))
        shape = (int(random.uniform(4, 12)), int(random.uniform(6, 18)))
        patch = plan.copy()
        cv2.ellipse(patch, at, shape, random.uniform(0, 90), 0, 360, (74, 76, 78), -1, cv2.LINE_AA)
        cv2.addWeighted(patch, 0.4, plan, 0.6, 0, plan)


def _shop(accent: Bgr, side: float) -> Mesh:
    mesh = MeshBuilder()
    x1, x2 = sorted((side * 6.6, side * 22.0))
    mesh.box((x1, 0.0, 24.0), (x2, 3.3, 32.0), (178, 190, 198))
    mesh.box((x1 - 0.2, 3.0, 23.6), (x2 + 0.2, 3.9, 32.0), accent)
    inside = (0.0, 1.0, 30.0)
    for i in range(6):
        a, b = sorted((side * (7.0 + i * 2.4), side * (9.0 + i * 2.4)))
        for y1, y2, z, colour, lit in (
            (0.3, 2.6, 23.98, (120, 104, 84), True),
            (1.7, 2.5, 23.97, (176, 206, 220), False),
            (0.6, 1.1, 23.97, (70, 84, 130), False),
        ):
            mesh.add(((a, y1, z), (b, y1, z), (b, y2, z), (a, y2, z)), colour, inside, lit)
    return mesh.build()


def _sign(picture: Image, view: View, side: float) -> None:
    """Write the station's name over the shop's windows."""
    board = np.zeros((64, 420), np.uint8)
    cv2.putText(board, "FORECOURT", (14, 50), cv2.FONT_HERSHEY_SIMPLEX, 1.7, (255,), 4, cv2.LINE_AA)
    a, b = sorted((side * 7.4, side * 13.0))
    target = _pixels(view, [(a, 3.8, 23.55), (b, 3.8, 23.55), (b, 3.1, 23.55), (a, 3.1, 23.55)])
    source = np.array(((0, 0), (420, 0), (420, 64), (0, 64)), np.float32)
    homography = cv2.getPerspectiveTransform(source, target)
    mask = cv2.warpPerspective(board, homography, (picture.shape[1], picture.shape[0]))[..., None] / 255.0
    picture[:] = (picture * (1 - mask) + 248 * mask).astype(np.uint8)


def _canopy(accent: Bgr) -> Mesh:
    mesh = MeshBuilder()
    z1, z2, low = 10.0, 23.0, 4.3
    inside = (0.0, 6.0, 16.0)
    mesh.add(((-7, low, z1), (7, low, z1), (7, low, z2), (-7, low, z2)), (206, 208, 208), inside)
    for x in (-4.6, -2.1, 0.0, 2.1, 4.6):
        for z in np.arange(z1 + 1.0, z2 - 0.5, 2.2):
            corners = ((x - 0.4, low - 0.01, z), (x + 0.4, low - 0.01, z), (x + 0.4, low - 0.01, z + 0.8))
            mesh.add((*corners, (x - 0.4, low - 0.01, z + 0.8)), (250, 252, 252), inside, lit=False)
    for x in (-7.0, 7.0):
        # Seen from below, so its inner side counts as the outer one.
        fascia = ((x, low, z1), (x, low, z2), (x, low + 0.6, z2), (x, low + 0.6, z1))
        mesh.add(fascia, accent, (x * 2, low, z1))
    return mesh.build()


def _pump(accent: Bgr) -> Mesh:
    mesh = MeshBuilder()
    mesh.box((-0.46, 0.0, -0.32), (0.46, 0.18, 0.32), (120, 122, 122))
    mesh.box((-0.38, 0.18, -0.26), (0.38, 1.25, 0.26), (222, 224, 224))
    mesh.box((-0.42, 1.25, -0.28), (0.42, 1.72, 0.28), accent)
    inside = (0.0, 1.0, 1.0)

    def front(x1: float, x2: float, y1: float, y2: float, colour: Bgr, z: float) -> None:
        mesh.add(((x1, y1, z), (x2, y1, z), (x2, y2, z), (x1, y2, z)), colour, inside, lit=False)

    front(-0.26, 0.26, 1.34, 1.62, (40, 44, 38), -0.29)
    for y in (1.38, 1.48, 1.57):
        front(-0.2, 0.14, y, y + 0.035, (130, 226, 160), -0.295)
    for x, colour in ((-0.24, (50, 50, 190)), (0.0, (60, 150, 60)), (0.24, (30, 30, 30))):
        front(x - 0.07, x + 0.07, 0.72, 1.10, (70, 72, 74), -0.27)
        front(x - 0.045, x + 0.045, 0.80, 1.05, colour, -0.28)
    for x in (-0.41, 0.41):
        mesh.box((x - 0.03, 0.35, -0.30), (x + 0.03, 1.2, -0.24), (36, 36, 36))
    return mesh.build()


def _column() -> Mesh:
    mesh = MeshBuilder()
    mesh.box((-0.17, 0.0, -0.17), (0.17, 4.3, 0.17), (206, 208, 206))
    mesh.box((-0.19, 0.0, -0.19), (0.19, 0.7, 0.19), (60, 180, 222))
    return mesh.build()
