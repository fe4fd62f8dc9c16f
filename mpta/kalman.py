"""A Kalman filter over many boxes at once, each number of a box with its own speed.

Constant velocity, and noise in proportion to the box: N. Wojke et al., Simple Online and Realtime Tracking with a Deep
Association Metric, 2017 (arXiv 1703.07402). Nothing couples two numbers of a box, so a covariance is four times 2 x 2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: Standard deviations per frame as a part of the box's side.
_PLACE, _SPEED = 1 / 20, 1 / 160


@dataclass(frozen=True, slots=True)
class BoxFilter:
    """The filter for one way to measure a box.

    Attributes:
        by_aspect: centre x, centre y, width / height, height as ByteTrack does; else width, as BoT-SORT does.

    Beliefs are arrays of shape (n, 4): `place` and `speed`, and `spread` of shape (n, 3, 4): the variance of the place,
    its covariance with the speed, the variance of the speed.
    """

    by_aspect: bool

    def measured(self, corners: Floats) -> Floats:
        """Return boxes x1 y1 x2 y2, shape (n, 4), as this filter measures them."""
        sizes = corners[:, 2:] - corners[:, :2]
        found = np.hstack([corners[:, :2] + sizes / 2, sizes])
        if self.by_aspect:
            found[:, 2] /= found[:, 3]
        return found

    def corners(self, place: Floats) -> Floats:
        """Return what is measured as boxes x1 y1 x2 y2."""
        halves = place[:, 2:] / 2
        if self.by_aspect:
            halves = np.stack([place[:, 2] * place[:, 3], place[:, 3]], 1) / 2
        return np.hstack([place[:, :2] - halves, place[:, :2] + halves])

    def begun(self, measured: Floats) -> Floats:
        """Return the spread of boxes seen for the first time; their speed is 0."""
        place, speed = self._noise(measured)
        wider = np.where(self._is_aspect(), 1.0, [[2.0], [10.0]])
        return np.stack([(place * wider[0]) ** 2, np.zeros_like(place), (speed * wider[1]) ** 2], 1)

    def predicted(self, place: Floats, speed: Floats, spread: Floats) -> tuple[Floats, Floats]:
        """Return place and spread one frame later."""
        place_noise, speed_noise = self._noise(place)
        variance, shared, speeds = spread.transpose(1, 0, 2)
        later = variance + 2 * shared + speeds + place_noise**2, shared + speeds, speeds + speed_noise**2
        return place + speed, np.stack(later, 1)

    def corrected(
        self, place: Floats, speed: Floats, spread: Floats, measured: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return place, speed and spread after the boxes were measured."""
        noise = np.where(self._is_aspect(), 0.1, self._noise(place)[0])
        variance, shared, speeds = spread.transpose(1, 0, 2)
        total = variance + noise**2
        gain, speed_gain = variance / total, shared / total
        error = measured - place
        left = variance - gain * variance, shared - gain * shared, speeds - speed_gain * shared
        return place + gain * error, speed + speed_gain * error, np.stack(left, 1)

    def _noise(self, place: Floats) -> tuple[Floats, Floats]:
        """Return the standard deviations that one frame adds to place and speed."""
        sides = place[:, [3, 3, 3, 3] if self.by_aspect else [2, 3, 2, 3]]
        aspect = self._is_aspect()
        return np.where(aspect, 1e-2, sides * _PLACE), np.where(aspect, 1e-5, sides * _SPEED)

    def _is_aspect(self) -> NDArray[np.bool_]:
        return np.array([False, False, self.by_aspect, False])
