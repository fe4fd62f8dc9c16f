"""How fast a CMS may talk."""

from __future__ import annotations

#: The rate is a mean over this long: a CMS that starts may send all its subscriptions at once.
BURST_S = 10.0


class TokenBucket:
    """Lets through `rate` messages a second on average, and `BURST_S` seconds' worth at once."""

    def __init__(self, rate: float, now_s: float) -> None:
        self._rate = rate
        self._room = max(1.0, rate * BURST_S)
        self._tokens = self._room
        self._at_s = now_s

    def take(self, now_s: float) -> bool:
        """Return whether one more message may pass at `now_s` (a monotonic clock)."""
        self._tokens = min(self._room, self._tokens + (now_s - self._at_s) * self._rate)
        self._at_s = now_s
        if self._tokens < 1.0:
            return False
        self._tokens -= 1.0
        return True
