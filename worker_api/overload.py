"""Whether one subscription gets much less than it asks for and its camera gives."""

from __future__ import annotations

import math

#: Below this share of what it could get it counts as overloaded, and above the other one as recovered.
_ENOUGH, _RECOVERED = 0.5, 0.7
#: For so many seconds before it is worth a word, and for so many none is said again.
_HELD_S, _QUIET_S = 10.0, 300.0
#: Of fewer frames per second a rate of ten seconds says nothing; and no rate below the other can be told from none.
_LEAST_FPS, _NONE_FPS = 0.5, 0.1


class Overload:
    """Remembers since when it lasts and when it was told.

    Attributes:
        factor: how many times more is asked for than is done, None while enough is.
    """

    __slots__ = ("_since_s", "_told_s", "factor")

    def __init__(self) -> None:
        self.factor: float | None = None
        self._since_s = math.inf
        self._told_s = -math.inf

    def judge(self, now_s: float, *, possible_fps: float, achieved_fps: float) -> bool:
        """Note rates of now; return whether it must be told.

        `possible_fps`: the least of what is asked and what the camera gives; 0 where something else explains it.
        """
        enough = _ENOUGH if self.factor is None else _RECOVERED
        if possible_fps < _LEAST_FPS or achieved_fps >= enough * possible_fps:
            self.factor, self._since_s, self._told_s = None, math.inf, -math.inf
            return False
        self._since_s = min(self._since_s, now_s)
        if now_s - self._since_s < _HELD_S:
            return False
        self.factor = possible_fps / max(achieved_fps, _NONE_FPS)
        if now_s - self._told_s < _QUIET_S:
            return False
        self._told_s = now_s
        return True
