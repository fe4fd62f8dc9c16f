"""A forecourt seen by one camera, with the truth of what is where: a pure function of time."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from simulator.bodies import BODIES
from simulator.compositing import darken, shrink, stick
from simulator.forecourt import ZOOM, Forecourt, build_forecourt
from simulator.marks import Image, badge, plate_picture
from simulator.mesh import Pose
from simulator.traffic import Timetable, Visit
from simulator.vehicles import badge_corners, mesh_of, plate_corners
from simulator.view import Points, View

#: x1, y1, x2, y2 in pixels of the picture, inside it.
Box = tuple[float, float, float, float]

#: The silhouettes are counted on a grid this many pixels wide; good to about 2 % of a near vehicle.
_GRID_PX = 4
#: A plate seen more obliquely than this many degrees has no plate box.
_READABLE_DEGREES = 58
_NOISE_MARGIN_PX = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class SeenVehicle:
    """One vehicle in one picture.

    Attributes:
        track: number of the visit, stable while the vehicle is there, not reused by the scene.
        kind: `car` or `truck`.
        body, brand, colour, plate: its identity; see `simulator.vehicles` and `simulator.marks`.
        box: around all of it that lies in the picture, also where something hides it.
        plate_box: around its plate; None when that is turned away, hidden or cut off.
        plate_quad: the plate's corners x y from its top left clockwise; None when `plate_box` is.
        standing: at rest at a pump.
        visibility: share of its silhouette, 0 to 1, that is in the picture and not hidden.
    """

    track: int
    kind: str
    body: str
    brand: str
    colour: str
    plate: str
    box: Box
    plate_box: Box | None
    plate_quad: tuple[tuple[float, float], ...] | None
    standing: bool
    visibility: float


Truth = tuple[SeenVehicle, ...]


class Scene:
    """The forecourt of one camera seed. Not changed by use: one object may serve several threads."""

    def __init__(self, camera_seed: int) -> None:
        """Draw the empty forecourt (about 0.3 s).

        Args:
            camera_seed: settles the mast, the lens, the place, the light and the traffic.
        """
        random = np.random.default_rng(camera_seed)
        self.view = _random_view(random)
        shop_right = bool(random.random() < 0.5)
        self._forecourt: Forecourt = build_forecourt(self.view, random, shop_right=shop_right)
        self._timetable = Timetable(camera_seed, from_right=not shop_right)
        self._empty = shrink(self._forecourt.picture)
        self._light = _Light.random(random)
        shape = (self.view.height + _NOISE_MARGIN_PX, self.view.width + _NOISE_MARGIN_PX, 3)
        noise = random.normal(scale=random.uniform(1.5, 3.5), size=shape).astype(np.float32)
        self._grain_up = noise.clip(0, 40).astype(np.uint8)
        self._grain_down = (-noise).clip(0, 40).astype(np.uint8)

    def at(self, t_seconds: float) -> tuple[Image, Truth]:
        """Return the picture (540, 960, 3) BGR and the truth of scene time `t_seconds`."""
        present = self._present(t_seconds)
        truth = self._look(present, t_seconds)
        image = self._empty.copy()
        if present:
            self._paint(image, present)
        return self._expose(image, t_seconds), truth

    def truth_at(self, t_seconds: float) -> Truth:
        """Return the truth alone; ten times as cheap as `at`."""
        return self._look(self._present(t_seconds), t_seconds)

    def _present(self, t_seconds: float) -> list[tuple[Visit, Pose]]:
        """Return who is there, far to near."""
        return sorted(self._timetable.at(t_seconds), key=lambda item: -_middle_z(*item))

    def _paint(self, image: Image, present: list[tuple[Visit, Pose]]) -> None:
        """Draw vehicles, and the props before them, into their part of the picture."""
        outlines = [mesh_of(*_look_of(visit)).outline(self.view, pose) for visit, pose in present]
        shadows = [self.view.project(_shadow(visit, pose))[0] for visit, pose in present]
        area = _area(np.concatenate(outlines + shadows), self.view)
        if area is None:
            return
        x1, y1, x2, y2 = area
        canvas = self._forecourt.picture[y1 * ZOOM : y2 * ZOOM, x1 * ZOOM : x2 * ZOOM].copy()
        origin = (float(x1), float(y1))
        darken(canvas, [(s - origin) * ZOOM for s in shadows])
        props = [p for p in self._forecourt.props if p.pose.z_m < _middle_z(*present[0])]
        drawn = [(_middle_z(*item), item) for item in present] + [(p.pose.z_m, p) for p in props]
        for _, item in sorted(drawn, key=lambda pair: -pair[0]):
            if isinstance(item, tuple):
                visit, pose = item
                mesh_of(*_look_of(visit)).draw(canvas, self.view, pose, ZOOM, origin)
                self._label(canvas, visit, pose, origin)
            else:
                item.mesh.draw(canvas, self.view, item.pose, ZOOM, origin)
        image[y1:y2, x1:x2] = shrink(canvas)

    def _label(self, canvas: Image, visit: Visit, pose: Pose, origin: tuple[float, float]) -> None:
        """Stick the plate and the badge on the front, if it faces the camera at all."""
        vehicle = visit.vehicle
        badge_image, badge_mask = badge(vehicle.brand)
        for picture, mask, corners in (
            (plate_picture(vehicle.plate)[0], None, plate_corners(vehicle.body)),
            (badge_image, badge_mask, badge_corners(vehicle.body)),
        ):
            placed = pose.place(corners)
            if _obliqueness(placed, pose, self.view) < 86:
                stick(canvas, picture, mask, (self.view.project(placed)[0] - origin) * ZOOM)

    def _look(self, present: list[tuple[Visit, Pose]], t: float) -> Truth:
        """Return the truth of these vehicles, given far to near."""
        view = self.view
        grid = np.zeros((view.height // _GRID_PX, view.width // _GRID_PX), np.uint8)
        hulls = []
        for number, (visit, pose) in enumerate(present, start=1):
            for prop in self._forecourt.props:
                if number > 1 and _middle_z(visit, pose) <= prop.pose.z_m < _middle_z(*present[number - 2]):
                    _silhouette(grid, prop.mesh.outline(view, prop.pose), 255)
            hulls.append(mesh_of(*_look_of(visit)).outline(view, pose))
            _silhouette(grid, hulls[-1], number)
        for prop in self._forecourt.props:
            if present and prop.pose.z_m < _middle_z(*present[-1]):
                _silhouette(grid, prop.mesh.outline(view, prop.pose), 255)
        counts = np.bincount(grid.ravel(), minlength=256) * float(_GRID_PX**2)
        seen = []
        for number, ((visit, pose), hull) in enumerate(zip(present, hulls, strict=True), start=1):
            whole = cv2.contourArea(cv2.convexHull(hull.astype(np.float32)))
            box = _clip(hull, view)
            if box is None or not counts[number]:
                continue
            vehicle = visit.vehicle
            plate_box, plate_quad = self._plate(visit, pose, grid, number)
            seen.append(
                SeenVehicle(
                    track=visit.track,
                    kind=vehicle.kind,
                    body=vehicle.body,
                    brand=vehicle.brand,
                    colour=vehicle.colour,
                    plate=vehicle.plate,
                    box=box,
                    plate_box=plate_box,
                    plate_quad=plate_quad,
                    standing=visit.standing(t),
                    visibility=round(min(1.0, float(counts[number]) / max(whole, 1.0)), 3),
                )
            )
        return tuple(seen)

    def _plate(
        self, visit: Visit, pose: Pose, grid: Image, number: int
    ) -> tuple[Box, tuple[tuple[float, float], ...]] | tuple[None, None]:
        """Return the plate's box and corners if all of it can be seen."""
        placed = pose.place(plate_corners(visit.vehicle.body))
        if _obliqueness(placed, pose, self.view) > _READABLE_DEGREES:
            return None, None
        pixels, _ = self.view.project(placed)
        box = _clip(pixels, self.view)
        if box is None or not np.allclose(box, (*pixels.min(axis=0), *pixels.max(axis=0)), atol=0.11):
            return None, None
        cells = (pixels / _GRID_PX).astype(int).clip(0, (grid.shape[1] - 1, grid.shape[0] - 1))
        if (grid[cells[:, 1], cells[:, 0]] != number).any():
            return None, None
        return box, tuple((round(x, 1), round(y, 1)) for x, y in pixels.tolist())

    def _expose(self, image: Image, t: float) -> Image:
        """Apply the light of the moment and the sensor's grain."""
        lit = cv2.LUT(image, self._light.table(t))
        step = round(t * 1000) * 2654435761
        dy, dx = (step >> 7) % _NOISE_MARGIN_PX, (step >> 17) % _NOISE_MARGIN_PX
        window = np.s_[dy : dy + self.view.height, dx : dx + self.view.width]
        cv2.add(lit, self._grain_up[window], lit)
        return np.asarray(cv2.subtract(lit, self._grain_down[window], lit), np.uint8)


@dataclass(frozen=True, slots=True)
class _Light:
    """Exposure and tint of a camera, drifting slowly as clouds pass."""

    gain: float
    tint: tuple[float, float, float]
    phase: float

    @classmethod
    def random(cls, random: np.random.Generator) -> _Light:
        blue, red = random.uniform(0.94, 1.06, 2)
        return cls(float(random.uniform(0.78, 1.10)), (float(blue), 1.0, float(red)), float(random.uniform(0, 6.28)))

    def table(self, t: float) -> Image:
        """Return the lookup table (1, 256, 3) of scene time `t`."""
        drift = 1.0 + 0.06 * math.sin(t / 13.0 + self.phase) + 0.04 * math.sin(t / 4.7 + 2 * self.phase)
        levels = np.arange(256.0)[:, None] * np.array(self.tint) * (self.gain * drift)
        return np.asarray(levels.clip(0, 255)[None], np.uint8)


def _random_view(random: np.random.Generator) -> View:
    x = float(random.uniform(-1.1, 1.1))
    return View(
        focal_px=float(random.uniform(1080, 1180)),
        x_m=x,
        y_m=float(random.uniform(2.9, 3.5)),
        pitch=math.radians(float(random.uniform(8.6, 10.0))),
        yaw=-math.atan2(x, 11.0) + math.radians(float(random.uniform(-1.0, 1.0))),
    )


def _look_of(visit: Visit) -> tuple[str, str, str]:
    return visit.vehicle.body, visit.vehicle.brand, visit.vehicle.colour


def _middle_z(visit: Visit, pose: Pose) -> float:
    return pose.z_m + 0.5 * BODIES[visit.vehicle.body].length * math.cos(pose.heading)


def _obliqueness(placed: Points, pose: Pose, view: View) -> float:
    """Return the angle in degrees between the front's direction and the way to the camera, seen from above."""
    to_eye = view.eye - placed.mean(axis=0)
    across = abs((math.atan2(to_eye[0], -to_eye[2]) - pose.heading + math.pi) % (2 * math.pi) - math.pi)
    return math.degrees(across)


def _shadow(visit: Visit, pose: Pose) -> Points:
    """Return the corners (4, 3) of the vehicle's shadow on the ground."""
    body = BODIES[visit.vehicle.body]
    w, length = body.half_width, body.length
    corners = np.array(((-w, 0, 0.05), (w, 0, 0.05), (w, 0, length), (-w, 0, length)), np.float64)
    return np.asarray(pose.place(corners) + np.array((0.28, 0.0, 0.18)), np.float64)


def _area(pixels: Points, view: View) -> tuple[int, int, int, int] | None:
    """Return whole pixels x1 y1 x2 y2 around these, inside the picture, or None."""
    low, high = np.floor(pixels.min(axis=0)) - 4, np.ceil(pixels.max(axis=0)) + 4
    x1, y1 = max(0, int(low[0])), max(0, int(low[1]))
    x2, y2 = min(view.width, int(high[0])), min(view.height, int(high[1]))
    return (x1, y1, x2, y2) if x2 - x1 > 1 and y2 - y1 > 1 else None


def _clip(pixels: Points, view: View) -> Box | None:
    (x1, y1), (x2, y2) = pixels.min(axis=0), pixels.max(axis=0)
    x1, x2 = np.clip((x1, x2), 0, view.width)
    y1, y2 = np.clip((y1, y2), 0, view.height)
    if x2 - x1 < 4 or y2 - y1 < 4:
        return None
    return round(float(x1), 1), round(float(y1), 1), round(float(x2), 1), round(float(y2), 1)


def _silhouette(grid: Image, pixels: Points, number: int) -> None:
    hull = cv2.convexHull((pixels / _GRID_PX - 0.5).clip(-2000, 2000).astype(np.float32))
    cv2.fillConvexPoly(grid, np.round(hull).astype(np.int32), (number,))
