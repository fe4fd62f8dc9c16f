"""The six body types as measures.

Local axes: x to the camera's right, y up, z from the front bumper (0) backwards, all in metres.
"""

from __future__ import annotations

from dataclasses import dataclass

#: z, top y, half width at the sill, half width at the top, sill y.
Station = tuple[float, float, float, float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """One body type's measures in metres.

    Attributes:
        name, kind: the body type, and the class that a detector of vehicles knows: car or truck.
        length, half_width: of the whole vehicle.
        hull: stations of the lower body, front to back.
        cabin: stations of the part with windows, front to back; the first pair is the windscreen.
        wheels: z of each axle; `radius` of a wheel.
        badge_y, plate_y: heights of their centres on the front.
    """

    name: str
    kind: str
    length: float
    half_width: float
    hull: tuple[Station, ...]
    cabin: tuple[Station, ...]
    wheels: tuple[float, ...]
    radius: float
    badge_y: float
    plate_y: float


BODIES: dict[str, Body] = {
    body.name: body
    for body in (
        Body(
            name="sedan",
            kind="car",
            length=4.6,
            half_width=0.92,
            hull=(
                (0.00, 0.60, 0.84, 0.80, 0.20),
                (0.05, 0.88, 0.88, 0.80, 0.20),
                (0.45, 0.96, 0.92, 0.84, 0.20),
                (1.25, 1.00, 0.92, 0.86, 0.20),
                (3.95, 1.02, 0.92, 0.86, 0.20),
                (4.60, 0.94, 0.88, 0.80, 0.26),
            ),
            cabin=(
                (1.10, 0.98, 0.86, 0.84, 0.94),
                (1.95, 1.42, 0.84, 0.64, 0.96),
                (3.05, 1.46, 0.84, 0.64, 0.98),
                (4.05, 1.02, 0.84, 0.78, 0.98),
            ),
            wheels=(0.85, 3.65),
            radius=0.33,
            badge_y=0.70,
            plate_y=0.36,
        ),
        Body(
            name="suv",
            kind="car",
            length=4.7,
            half_width=0.98,
            hull=(
                (0.00, 0.80, 0.90, 0.86, 0.34),
                (0.05, 1.08, 0.94, 0.88, 0.32),
                (0.35, 1.16, 0.98, 0.92, 0.30),
                (1.20, 1.20, 0.98, 0.94, 0.30),
                (4.70, 1.20, 0.98, 0.92, 0.34),
            ),
            cabin=(
                (1.05, 1.18, 0.94, 0.92, 1.14),
                (1.65, 1.76, 0.92, 0.76, 1.16),
                (3.90, 1.84, 0.92, 0.76, 1.16),
                (4.60, 1.20, 0.92, 0.84, 1.16),
            ),
            wheels=(0.90, 3.75),
            radius=0.39,
            badge_y=0.87,
            plate_y=0.52,
        ),
        Body(
            name="van",
            kind="car",
            length=5.3,
            half_width=1.00,
            hull=(
                (0.00, 0.78, 0.94, 0.90, 0.26),
                (0.05, 1.04, 0.97, 0.90, 0.26),
                (0.50, 1.20, 1.00, 0.92, 0.24),
                (0.80, 1.30, 1.00, 0.96, 0.24),
                (5.30, 1.34, 1.00, 0.98, 0.26),
            ),
            cabin=(
                (0.55, 1.24, 0.95, 0.93, 1.20),
                (1.25, 2.06, 0.98, 0.82, 1.28),
                (1.75, 2.30, 0.98, 0.86, 1.30),
                (5.25, 2.32, 0.98, 0.88, 1.30),
            ),
            wheels=(0.95, 4.20),
            radius=0.35,
            badge_y=0.83,
            plate_y=0.45,
        ),
        Body(
            name="pickup",
            kind="car",
            length=5.4,
            half_width=1.02,
            hull=(
                (0.00, 0.88, 0.96, 0.92, 0.44),
                (0.04, 1.16, 0.98, 0.94, 0.42),
                (0.25, 1.24, 1.02, 0.96, 0.40),
                (1.35, 1.28, 1.02, 0.98, 0.40),
                (5.40, 1.26, 1.02, 0.98, 0.46),
            ),
            cabin=(
                (1.20, 1.26, 0.98, 0.94, 1.20),
                (1.75, 1.84, 0.94, 0.78, 1.22),
                (2.85, 1.88, 0.94, 0.78, 1.22),
                (3.10, 1.26, 0.94, 0.90, 1.22),
            ),
            wheels=(0.95, 4.25),
            radius=0.44,
            badge_y=0.96,
            plate_y=0.60,
        ),
        Body(
            name="box-truck",
            kind="truck",
            length=7.0,
            half_width=1.12,
            hull=(
                (0.00, 1.16, 1.06, 1.04, 0.36),
                (0.04, 1.32, 1.10, 1.06, 0.36),
                (1.80, 1.34, 1.12, 1.10, 0.40),
            ),
            cabin=(
                (0.03, 1.30, 1.08, 1.05, 1.24),
                (0.30, 2.24, 1.10, 0.98, 1.30),
                (0.60, 2.42, 1.10, 0.98, 1.30),
                (1.80, 2.44, 1.10, 1.00, 1.30),
            ),
            wheels=(1.00, 5.40),
            radius=0.46,
            badge_y=1.02,
            plate_y=0.56,
        ),
        Body(
            name="tanker",
            kind="truck",
            length=7.4,
            half_width=1.12,
            hull=(
                (0.00, 1.06, 1.04, 1.02, 0.38),
                (0.06, 1.26, 1.08, 1.04, 0.38),
                (1.80, 1.30, 1.12, 1.10, 0.42),
            ),
            cabin=(
                (0.05, 1.24, 1.06, 1.03, 1.20),
                (0.42, 2.06, 1.08, 0.92, 1.28),
                (0.80, 2.22, 1.08, 0.92, 1.28),
                (1.80, 2.24, 1.08, 0.96, 1.28),
            ),
            wheels=(1.00, 4.70, 6.00),
            radius=0.46,
            badge_y=0.98,
            plate_y=0.56,
        ),
    )
}
