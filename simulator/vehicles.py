"""Six bodies, any paint and any brand, as meshes with the place of their badge and plate.

Local axes: x to the camera's right, y up, z from the front bumper (0) backwards, all in metres.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from simulator.bodies import BODIES, Body, Station
from simulator.marks import BADGE_SIZE_M, BRANDS, PAINTS, PLATE_SIZE_M, Bgr, random_plate
from simulator.mesh import Mesh, MeshBuilder
from simulator.view import Points

_GLASS: tuple[Bgr, ...] = ((74, 62, 50), (98, 84, 68), (136, 120, 100))
#: Corners of the reflection on a windscreen: share of its height, -1 left to 1 right.
_SHINE = ((0.1, 0.35), (0.1, 0.6), (0.94, 0.1), (0.94, -0.2))
_RUBBER, _RIM, _TRIM = (32, 31, 30), (150, 152, 154), (46, 45, 44)


class _Panel(Protocol):
    """Adds an upright rectangle to the front: left, right, bottom, top, paint, depth."""

    def __call__(self, x1: float, x2: float, y1: float, y2: float, colour: Bgr, z: float = ..., /) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Vehicle:
    """One vehicle's identity; two with the same one look the same."""

    body: str
    brand: str
    colour: str
    plate: str

    @property
    def kind(self) -> str:
        """`car` or `truck`."""
        return BODIES[self.body].kind


def random_vehicle(random: np.random.Generator) -> Vehicle:
    """Return a vehicle; all bodies, brands and paints are equally likely."""
    return Vehicle(
        body=list(BODIES)[random.integers(len(BODIES))],
        brand=BRANDS[random.integers(len(BRANDS))],
        colour=list(PAINTS)[random.integers(len(PAINTS))],
        plate=random_plate(random),
    )


def plate_corners(body: str) -> Points:
    """Return the plate's corners (4, 3): top left, top right, bottom right, bottom left as the camera sees it."""
    return _upright(BODIES[body].plate_y, *PLATE_SIZE_M)


def badge_corners(body: str) -> Points:
    """Return the badge's corners (4, 3) in the order of `plate_corners`."""
    return _upright(BODIES[body].badge_y, BADGE_SIZE_M, BADGE_SIZE_M)


def _upright(y: float, width: float, height: float) -> Points:
    w, h = width / 2, height / 2
    return np.array(((-w, y + h, -0.03), (w, y + h, -0.03), (w, y - h, -0.03), (-w, y - h, -0.03)))


@functools.lru_cache(maxsize=512)
def mesh_of(body_name: str, brand: str, colour: str) -> Mesh:
    """Return the mesh of this body in this paint with this brand's grille."""
    body, paint = BODIES[body_name], PAINTS[colour]
    mesh = MeshBuilder()
    _load(mesh, body)
    for z in body.wheels:
        _wheel(mesh, body, z, front=False)
    _loft(mesh, body.hull, paint)
    if body.name == "pickup":
        _bed(mesh, body)
    for z in body.wheels:
        _wheel(mesh, body, z, front=True)
    _loft(mesh, body.cabin, paint)
    _windows(mesh, body)
    _face(mesh, body, brand)
    return mesh.build()


def _section(station: Station, round_off: float) -> list[tuple[float, float, float]]:
    """Return the cross-section at a station, left sill over the top to right sill."""
    z, top, low, high, sill = station
    middle = sill + (top - sill) * 0.62
    right = (
        (0.58 * high, top, z),
        (0.88 * high, top - 0.02, z + round_off * 0.3),
        (high, top - 0.07, z + round_off * 0.7),
        (low, middle, z + round_off),
        (low * 0.99, sill, z + round_off),
    )
    return [(-x, y, depth) for x, y, depth in reversed(right)] + list(right)


def _loft(mesh: MeshBuilder, stations: Sequence[Station], paint: Bgr) -> None:
    """Add the skin over the stations, back to front, then the front cap."""
    sections = [_section(s, 0.20 if i < 2 else 0.10) for i, s in enumerate(stations)]
    for i in reversed(range(len(sections) - 1)):
        near, far = sections[i], sections[i + 1]
        inside = (0.0, (stations[i][4] + stations[i][1]) / 2 - 0.15, (stations[i][0] + stations[i + 1][0]) / 2 + 0.2)
        # Sides first: the top covers their upper edge when the camera looks down on it.
        for j in sorted(range(len(near) - 1), key=lambda j: -abs(j - 4)):
            mesh.add((near[j], near[j + 1], far[j + 1], far[j]), paint, inside)
    mesh.add(sections[0], paint, (0.0, 0.5, stations[0][0] + 2.0))


def _windows(mesh: MeshBuilder, body: Body) -> None:
    first, second = body.cabin[0], body.cabin[1]
    _side_windows(mesh, body)
    inside = (0.0, 0.5, second[0] + 1.0)
    rows = len(_GLASS)
    for row, glass in enumerate(_GLASS):
        a, b = 0.10 + 0.84 * row / rows, 0.10 + 0.84 * (row + 1) / rows
        corners = [_between(first, second, share, side) for share, side in ((a, -1), (a, 1), (b, 1), (b, -1))]
        mesh.add(corners, glass, inside)
    shine = [_between(first, second, share, side) for share, side in _SHINE]
    mesh.add(shine, (158, 146, 128), inside)


def _between(first: Station, second: Station, share: float, side: float) -> tuple[float, float, float]:
    """Return a point on the windscreen: `share` of its height, `side` -1 left to 1 right."""
    half = (first[3] + (second[3] - first[3]) * share) * 0.9
    edge = 0.04 * abs(side)
    return (
        side * half,
        first[1] + (second[1] - first[1]) * share,
        first[0] + (second[0] - first[0]) * share + edge - 0.02,
    )


def _side_windows(mesh: MeshBuilder, body: Body) -> None:
    last = 3 if body.name in ("van", "box-truck", "tanker") else len(body.cabin)
    for near, far in zip(body.cabin[:last], body.cabin[1:last], strict=False):
        z1, z2 = near[0] + 0.12, far[0] - 0.06
        low = max(near[4], far[4]) + 0.08
        for side in (-1.0, 1.0):
            corners = []
            for station, z, y in (
                (near, z1, low),
                (far, z2, low),
                (far, z2, far[1] - 0.14),
                (near, z1, near[1] - 0.14),
            ):
                y = max(y, low)
                rise = (y - station[4]) / max(station[1] - station[4], 0.05)
                corners.append((side * (station[2] + (station[3] - station[2]) * max(0.0, rise - 0.4) + 0.01), y, z))
            mesh.add(corners, _GLASS[0], (0.0, 1.2, (z1 + z2) / 2))


def _wheel(mesh: MeshBuilder, body: Body, z: float, *, front: bool) -> None:
    """Add an axle: before the hull what shows below the bumper, after it the discs on the sides."""
    r, w = body.radius, body.half_width
    if not front:
        for side in (-1, 1):
            x1, x2 = sorted((side * (w - 0.28), side * (w - 0.04)))
            mesh.box((x1, 0.0, z - r * 0.9), (x2, r, z + r * 0.9), _RUBBER)
        return
    for side in (-1, 1):
        for radius, colour in ((r * 1.16, _TRIM), (r, _RUBBER), (r * 0.62, _RIM), (r * 0.18, _TRIM)):
            ring = [
                (side * (w + 0.012), max(0.0, r + radius * math.sin(a)), z + radius * math.cos(a))
                for a in np.linspace(0, 2 * math.pi, 16, endpoint=False)
            ]
            mesh.add(ring, colour, (0.0, r, z))


def _bed(mesh: MeshBuilder, body: Body) -> None:
    z1, z2, w, y = 3.15, body.length - 0.1, body.half_width - 0.12, body.hull[-1][1]
    mesh.add(((-w, y, z1), (w, y, z1), (w, y, z2), (-w, y, z2)), _TRIM, (0.0, 0.0, 4.0))


def _load(mesh: MeshBuilder, body: Body) -> None:
    """Add what a truck carries, and the frame below it."""
    if body.kind != "truck":
        return
    mesh.box((-0.95, 0.55, 1.7), (0.95, 0.90, body.length), _TRIM)
    if body.name == "box-truck":
        mesh.box((-1.22, 0.92, 1.95), (1.22, 3.25, body.length), (214, 212, 206))
        for x in (-1.23, 1.23):
            mesh.add(((x, 2.2, 2.0), (x, 2.2, 6.9), (x, 1.7, 6.9), (x, 1.7, 2.0)), (168, 110, 30), (0, 2, 4))
        return
    rings = []
    for z, radius in ((2.0, 0.86), (2.15, 1.08), (3.9, 1.08), (4.05, 1.1), (5.6, 1.08), (7.3, 1.08)):
        angles = np.linspace(0, 2 * math.pi, 20, endpoint=False)
        rings.append([(1.06 * radius * math.cos(a), 2.02 + radius * math.sin(a), z) for a in angles])
    for i in reversed(range(len(rings) - 1)):
        colour = (60, 120, 214) if i == 2 else (196, 198, 200)
        for j in range(20):
            k = (j + 1) % 20
            corners = (rings[i][j], rings[i][k], rings[i + 1][k], rings[i + 1][j])
            mesh.add(corners, colour, (0.0, 2.02, rings[i][j][2] + 0.5))
    mesh.add(rings[0], (182, 184, 186), (0.0, 2.02, 4.0))


def _face(mesh: MeshBuilder, body: Body, brand: str) -> None:
    """Add lamps, grille, bumper and mirrors to the front."""
    front, nose = body.hull[0], body.hull[1]
    inside = (0.0, 0.5, 2.0)

    def panel(x1: float, x2: float, y1: float, y2: float, colour: Bgr, z: float = -0.01, lit: bool = True) -> None:
        bulge = 0.10 * max(abs(x1), abs(x2)) ** 4
        corners = ((x1, y1, z + (bulge if x1 < -0.5 else 0)), (x2, y1, z + (bulge if x2 > 0.5 else 0)))
        upper = ((x2, y2, z + (bulge if x2 > 0.5 else 0)), (x1, y2, z + (bulge if x1 < -0.5 else 0)))
        mesh.add((*corners, *upper), colour, inside, lit)

    w, top = front[2], nose[1] - 0.05
    panel(-w * 0.94, w * 0.94, front[4], front[4] + 0.12, _TRIM)
    low, high = body.badge_y - 0.15, min(body.badge_y + 0.15, top)
    panel(-0.50, 0.50, low, high, (34, 34, 34))
    _grille(panel, brand, low, high)
    for side in (-1.0, 1.0):
        x1, x2 = sorted((side * 0.56, side * w * 0.95))
        panel(x1, x2, body.badge_y - 0.06, body.badge_y + 0.10, (70, 70, 70))
        panel(x1 + 0.03, x2 - 0.03, body.badge_y - 0.04, body.badge_y + 0.08, (238, 246, 248), -0.015, lit=False)
        x1, x2 = sorted((side * (w - 0.12), side * (w - 0.02)))
        panel(x1, x2, body.badge_y - 0.16, body.badge_y - 0.09, (30, 120, 240), -0.015, lit=False)
        mirror = body.cabin[1]
        x1, x2 = sorted((side * (mirror[2] + 0.02), side * (mirror[2] + 0.22)))
        y, z = mirror[4] + 0.10 * (1 if body.kind == "car" else 4), (body.cabin[0][0] + mirror[0]) / 2
        mesh.box((x1, y, z), (x2, y + (0.16 if body.kind == "car" else 0.42), z + 0.10), _TRIM)
    if body.name == "suv":
        panel(-0.55, 0.55, front[4] + 0.0, front[4] + 0.05, _RIM)
    if body.name == "pickup":
        for x in (-0.5, -0.25, 0.0, 0.25, 0.5):
            mesh.box((x - 0.06, 1.87, 1.85), (x + 0.06, 1.95, 1.95), (40, 170, 250), lit=False)
    if body.name == "tanker":
        panel(0.48, 0.86, 0.66, 0.84, (30, 120, 240), -0.02, lit=False)
        mesh.box((-0.16, 2.22, 1.0), (0.16, 2.36, 1.2), (30, 140, 250), lit=False)


def _grille(panel: _Panel, brand: str, low: float, high: float) -> None:
    """Add the bars of a brand's grille between these heights."""
    match BRANDS.index(brand) % 3:
        case 0:
            for i in range(3):
                y = low + (high - low) * (i + 0.5) / 3
                panel(-0.48, 0.48, y - 0.018, y + 0.018, _RIM, -0.013)
        case 1:
            for i in range(9):
                x = -0.46 + 0.92 * i / 8
                panel(x - 0.015, x + 0.015, low + 0.02, high - 0.02, _RIM, -0.013)
        case _:
            panel(-0.5, 0.5, high - 0.035, high, _RIM, -0.013)
            panel(-0.5, 0.5, low, low + 0.035, _RIM, -0.013)
