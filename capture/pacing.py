"""When: which pictures are published."""

from __future__ import annotations

LONGEST_WAIT_S = 30.0
#: Weight of the newest distance between two pictures in their mean.
_SMOOTHING = 0.2


class Pacer:
    """Chooses pictures by time, so that on average no more than `fps` of them a second are taken.

    A picture counts as due half of the pictures' own mean distance early: of a camera that plays at 25 it takes the one
    nearest to the wanted moment, and of one that plays at exactly `fps`, with jitter, it loses none.
    """

    def __init__(self, fps: float) -> None:
        self.fps = fps
        self._next_s = self._last_s = float("-inf")
        self._mean_s = 0.0

    def due(self, now_s: float) -> bool:
        """Say whether the picture of `now_s` (any clock that never goes back) is taken; if so it is."""
        period_s = 1.0 / self.fps
        gap_s, self._last_s = min(now_s - self._last_s, period_s), now_s
        self._mean_s += (gap_s - self._mean_s) * _SMOOTHING
        if now_s < self._next_s - min(self._mean_s, period_s) / 2:
            return False
        # Late by less than a period: made up for, so that the average holds. By more: there was a gap, begin anew.
        self._next_s = (self._next_s if now_s - self._next_s <= period_s else now_s) + period_s
        return True
