"""Who drives over the forecourt when: a timetable and a path, both pure functions of time.

Each lane has slots of `SLOT_S`; in most slots one vehicle comes in from the road, brakes, stands at the pump,
and pulls out past the camera. Any second can be asked for without playing the seconds before it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from simulator.mesh import Pose
from simulator.vehicles import Vehicle, random_vehicle

LANES_X_M = (-2.1, 2.1)
SLOT_S = 21.0

_CRUISE_M_S, _BRAKE_M_S2, _PULL_M_S2 = 9.0, 2.2, 1.7
_ROAD_Z_M, _ROAD_X_M = 37.0, 24.0
_IN_RADIUS_M, _OUT_RADIUS_M, _OUT_ANGLE = 6.0, 4.6, math.radians(80)
_OUT_STRAIGHT_M = 12.0
#: The point of a body that follows the path, behind the bumper; roughly the front axle.
_AXLE_M = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Visit:
    """One vehicle's stay.

    Attributes:
        track: unique per scene, the same as long as the vehicle is there.
        vehicle: who.
        lane_x_m, stop_z_m, skew: where the front axle stops, and how crookedly (radians).
        from_right: which side of the road it comes from.
        stops_s, leaves_s: scene time in seconds at which it comes to rest and drives off.
    """

    track: int
    vehicle: Vehicle
    lane_x_m: float
    stop_z_m: float
    skew: float
    from_right: bool
    stops_s: float
    leaves_s: float

    def standing(self, t: float) -> bool:
        """Whether it is at rest at scene time `t`."""
        return self.stops_s <= t <= self.leaves_s

    def pose(self, t: float) -> Pose | None:
        """Return where it is at scene time `t`, or None when it is not there."""
        along = _travelled(t - self.stops_s, t - self.leaves_s)
        x, z, heading = self._path(along)
        if along > _OUT_RADIUS_M * _OUT_ANGLE + _OUT_STRAIGHT_M or abs(x) > _ROAD_X_M:
            return None
        heading += self.skew
        return Pose(x + _AXLE_M * math.sin(heading), z - _AXLE_M * math.cos(heading), heading)

    def _path(self, along: float) -> tuple[float, float, float]:
        """Return x, z and heading of the axle, `along` metres after (negative: before) the stop."""
        if along > 0:
            return self._way_out(along)
        side = 1.0 if self.from_right else -1.0
        straight = _ROAD_Z_M - _IN_RADIUS_M - self.stop_z_m
        if -along <= straight:
            return self.lane_x_m, self.stop_z_m - along, 0.0
        turned = (-along - straight) / _IN_RADIUS_M
        corner = min(turned, math.pi / 2)
        x = self.lane_x_m + side * _IN_RADIUS_M * (1 - math.cos(corner))
        z = _ROAD_Z_M - _IN_RADIUS_M * (1 - math.sin(corner))
        return x + side * _IN_RADIUS_M * (turned - corner), z, -side * corner

    def _way_out(self, along: float) -> tuple[float, float, float]:
        side = math.copysign(1.0, self.lane_x_m)
        turned = min(along / _OUT_RADIUS_M, _OUT_ANGLE)
        rest = along - turned * _OUT_RADIUS_M
        x = _OUT_RADIUS_M * (1 - math.cos(turned)) + rest * math.sin(turned)
        z = self.stop_z_m - _OUT_RADIUS_M * math.sin(turned) - rest * math.cos(turned)
        return self.lane_x_m + side * x, z, side * turned


def _travelled(since_stop: float, since_leave: float) -> float:
    """Return metres along the path, 0 at the stop, from seconds since stopping and since driving off."""
    if since_leave > 0:
        return 0.5 * _PULL_M_S2 * since_leave**2
    if since_stop >= 0:
        return 0.0
    brakes_s = _CRUISE_M_S / _BRAKE_M_S2
    braking = min(-since_stop, brakes_s)
    return -(0.5 * _BRAKE_M_S2 * braking**2) - _CRUISE_M_S * (-since_stop - braking)


@dataclass(frozen=True, slots=True)
class Timetable:
    """All visits of one scene, drawn from its seed.

    Attributes:
        seed: the scene's seed.
        from_right: the side on which the road is in view.
    """

    seed: int
    from_right: bool

    def at(self, t: float) -> list[tuple[Visit, Pose]]:
        """Return the visits of scene time `t` (seconds), at most three, with their poses."""
        present = []
        for lane in range(len(LANES_X_M)):
            current = math.floor((t - self._shift(lane)) / SLOT_S)
            for slot in (current - 1, current, current + 1):
                visit = _visit(self.seed, lane, slot, self._shift(lane) + slot * SLOT_S, self.from_right)
                pose = visit.pose(t) if visit else None
                if visit and pose:
                    present.append((visit, pose))
        return present

    @staticmethod
    def _shift(lane: int) -> float:
        """Lanes take turns: half a slot apart, the first one's first vehicle stops in the first seconds."""
        return lane * SLOT_S / 2 + 1.0


@functools.lru_cache(maxsize=1024)
def _visit(seed: int, lane: int, slot: int, starts_s: float, from_right: bool) -> Visit | None:
    """Return the visit of one slot; one in six is empty, never a lane's first."""
    random = np.random.default_rng((seed & 0xFFFFFFFF, lane, slot & 0xFFFFFFFF))
    empty = random.random() < 1 / 6
    if empty and slot != 0:
        return None
    stops_s = starts_s + float(random.uniform(0.0, 2.0))
    return Visit(
        track=(slot * len(LANES_X_M) + lane) & 0x7FFFFFFF,
        vehicle=random_vehicle(random),
        lane_x_m=LANES_X_M[lane] + float(random.uniform(-0.14, 0.14)),
        stop_z_m=10.4 + float(random.uniform(-0.5, 0.6)),
        skew=float(random.uniform(-0.035, 0.035)),
        from_right=from_right,
        stops_s=stops_s,
        leaves_s=stops_s + float(random.uniform(6.5, 11.0)),
    )
