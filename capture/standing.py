"""What a capture daemon's sign says of its cameras."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from capture.cell import Reading
from contract import camera_states, nodes
from contract.keys import Cam
from contract.urls import redact

#: Pictures per second are counted over so long at least.
_COUNTED_S = 1.0


@dataclass(slots=True)
class _Standing:
    """What is remembered of one camera.

    Attributes:
        mood: it is in one for as long as `since_ms` stays: away, given up, well, or with a flaw.
        told: whether it plays, and whether its subscribers were told of trouble.
        counted: pictures that it had given when they were last counted.
    """

    mood: str = ""
    told: tuple[bool, bool] | None = None
    since_ms: int = 0
    counted: int = 0
    fps: float = 0.0


class Standings:
    """Since when each camera is as it is, and how many pictures it gives."""

    def __init__(self) -> None:
        self._standings: dict[Cam, _Standing] = {}
        self._counted_s = time.monotonic()

    def follow(self, reading: Reading) -> bool:
        """Note how a camera is; return whether others should hear of it soon: it plays again, or no more."""
        standing = self._standings.setdefault(reading.plan.cam, _Standing())
        condition = reading.condition
        mood = condition.state if condition.plays or condition.state == "given_up" else "away"
        if mood != standing.mood:
            standing.mood = mood
            standing.since_ms = nodes.now_ms() - int((time.monotonic() - condition.since_s) * 1000)
        before, standing.told = standing.told, (condition.plays, condition.trouble is not None)
        return before is not None and before != standing.told

    def forget(self, cam: Cam) -> None:
        """The camera is no longer ours."""
        self._standings.pop(cam, None)

    def facts(self, readings: Iterable[Reading]) -> dict[Cam, dict[str, Any]]:
        """Return what is said of each camera; all of them were followed."""
        passed_s = time.monotonic() - self._counted_s
        counting = passed_s >= _COUNTED_S
        if counting:
            self._counted_s += passed_s
        said = {}
        for reading in readings:
            standing = self._standings[reading.plan.cam]
            if counting:
                # A reader that took another's place counts from the start.
                standing.fps = max(0, reading.published - standing.counted) / passed_s
                standing.counted = reading.published
            trouble = reading.condition.trouble
            said[reading.plan.cam] = camera_states.fact(
                state=reading.condition.state,
                plays=reading.condition.plays,
                since_ms=standing.since_ms,
                fps=round(standing.fps, 1),
                code=trouble.code if trouble else None,
                reason=redact(trouble.text) if trouble else None,
            )
        return said
