"""What becomes of a detection that comes too late to be live."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Literal

import orjson

from contract import nodes
from worker_api.counters import Counters
from worker_api.messages import CurrentCar

log = logging.getLogger(__name__)

#: What of a `DisplayPersistentData.currentCar` is ours to write; detections have fields of the same names.
CAR_FIELDS = tuple(CurrentCar.model_fields)

_QUIET_MS = 60_000

Mode = Literal["patch", "all", "none"]
CarPatch = tuple[int | str, dict[str, Any]]


class Late:
    """Tells what is late, and what of it a session is told.

    Attributes:
        sent: late detections are sent all the same.
    """

    def __init__(
        self, counters: Counters, *, after_s: float, mode: Mode, clock: Callable[[], int] = nodes.now_ms
    ) -> None:
        """Args: `clock` returns Unix ms."""
        self.sent = mode == "all"
        self._patches = mode == "patch"
        self._after_ms = int(after_s * 1000)
        self._clock = clock
        self._quiet_until_ms = 0
        self._counters = counters

    def age_s(self, captured_ms: int) -> float:
        """Return how long ago a frame was captured, in seconds."""
        return (self._clock() - captured_ms) / 1000

    def is_late(self, captured_ms: int) -> bool:
        """Return whether a frame captured then is no longer live, and so not to be sent as if it were."""
        return not self.sent and self._clock() - captured_ms > self._after_ms

    def warn_if_born_late(self, captured_ms: int, added_ms: int) -> None:
        """Say once a minute that a detection was late already when it was added to the stream."""
        now_ms = self._clock()
        if added_ms - captured_ms > self._after_ms and now_ms >= self._quiet_until_ms:
            self._quiet_until_ms = now_ms + _QUIET_MS
            age_s = (added_ms - captured_ms) / 1000
            log.warning("a detection comes %.0f s after its capture: are workers behind, or are clocks apart?", age_s)

    def patch_of(self, body: bytes, *, nothing: bool) -> CarPatch | None:
        """Return the session that a late detection is for and what it tells of the car; else count why not."""
        if not self._patches:
            self._counters.late_not_sent += 1
            return None
        if nothing:
            self._counters.late_nothing += 1
            return None
        try:
            message = orjson.loads(body)
            session, detection = message.get("sessionId"), message["data"]["detection"]
            fields = {name: detection[name] for name in CAR_FIELDS if name in detection}
        except (ValueError, KeyError, TypeError, AttributeError) as exc:
            self._counters.entries_unreadable += 1
            log.warning("a late detection is left out: it cannot be read (%s)", type(exc).__name__)
            return None
        if not isinstance(session, int | str):
            self._counters.late_without_session += 1
            return None
        if not fields:
            self._counters.late_without_fields += 1
            return None
        self._counters.late_patched += 1
        return session, fields
