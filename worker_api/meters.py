"""What one subscription gets of what its camera offers: noted where results pass, computed when somebody asks."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import deque
from itertools import islice

from contract.subscriptions import Subscription
from worker_api.overload import Overload

#: Rates and ages are those of the last so many seconds.
WINDOW_S = 10.0
#: Results that are remembered: above 6.4 a second those of less than the window, 1 s at 60.
_KEPT = 64
#: A rate of less time than this says nothing.
_LEAST_S = 5.0
#: Frames of one group that may have no result yet though none was left out: one is computed, a newer one waits.
_UNDER_WAY = 2


class Meter:
    """Counts for one subscription since this connection has it. Times are seconds of one steady clock.

    Attributes:
        cam, group, pipeline: the subscription's, computed once.
        results: that came.
        overload: whether these are far too few.
        replaced: results that a newer one took the place of in the outbox of a slow reader.
        late: results that came too late to be live.
        out_of_order: results that were older than one that was sent.
        superseded: frames published for it that got no result, as a newer one came first (or as the package failed).
    """

    __slots__ = (
        "_ages",
        "_base",
        "_offers",
        "_since_s",
        "_times",
        "_troubled_s",
        "cam",
        "group",
        "late",
        "out_of_order",
        "overload",
        "pipeline",
        "replaced",
        "results",
        "superseded",
    )

    def __init__(self, subscription: Subscription, now_s: float) -> None:
        self.cam, self.group, self.pipeline = subscription.source.cam, subscription.group, subscription.pipeline
        self.results = self.superseded = self.replaced = self.late = self.out_of_order = 0
        self.overload = Overload()
        self._since_s, self._troubled_s = now_s, -math.inf
        self._times: deque[float] = deque(maxlen=_KEPT)
        self._ages: deque[float] = deque(maxlen=_KEPT)
        self._offers: deque[tuple[float, int]] = deque()
        self._base = 0

    def arrived(self, now_s: float, age_s: float) -> None:
        """Note a result whose frame is so old, whatever becomes of it."""
        self.results += 1
        self._times.append(now_s)
        self._ages.append(age_s)

    def troubled(self, now_s: float) -> None:
        """Note that its owner was told of other trouble."""
        self._troubled_s = now_s

    def in_trouble(self, now_s: float) -> bool:
        """Return whether its owner was told of other trouble of late."""
        return now_s - self._troubled_s < 1.5 * WINDOW_S

    def offered(self, now_s: float, count: int) -> None:
        """Note that so many frames were published for it until now, in all."""
        if not self._offers or count < self._offers[-1][1]:  # The first time, or the server has forgotten.
            self._offers.clear()
            self._base = count - self.results - self.superseded
        self._offers.append((now_s, count))
        while now_s - self._offers[0][0] > WINDOW_S and len(self._offers) > 2:
            self._offers.popleft()
        self.superseded = max(self.superseded, count - self._base - self.results - _UNDER_WAY)

    @property
    def offered_fps(self) -> float:
        """Frames published for it per second; 0 as long as that is not known."""
        if not self._offers:
            return 0.0
        (first_s, first), (last_s, last) = self._offers[0], self._offers[-1]
        return (last - first) / (last_s - first_s) if last_s - first_s >= _LEAST_S else 0.0

    def achieved_fps(self, now_s: float) -> float:
        """Return results per second."""
        recent = len(self._times) - self._first(now_s)
        since_s = self._times[0] if recent == _KEPT else max(self._since_s, now_s - WINDOW_S)
        return recent / max(now_s - since_s, 1.0)

    def ages_s(self, now_s: float) -> tuple[float, float] | None:
        """Return the ages that half and 95 % of the frames did not exceed; None when no result came."""
        ages = sorted(islice(self._ages, self._first(now_s), None))
        if not ages:
            return None
        return ages[math.ceil(0.5 * len(ages)) - 1], ages[math.ceil(0.95 * len(ages)) - 1]

    def _first(self, now_s: float) -> int:
        return bisect_right(self._times, now_s - WINDOW_S)
