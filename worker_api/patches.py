"""`patchSession`: the late detections of one session, merged into one message."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from contract.results import EntryId
from worker_api.counters import Counters
from worker_api.messages import CurrentCar, PatchSession, SessionPatch
from worker_api.routes import Route

#: A patch waits so long for more of its session.
WAIT_S = 0.5
#: Sessions that wait to be patched at one connection; beyond it the oldest goes.
SESSIONS = 1000


class Patch:
    """What one session is to be told."""

    __slots__ = ("_fields", "_routes", "due_s", "session")

    def __init__(self, session: int | str, due_s: float) -> None:
        self.session = session
        self.due_s = due_s
        self._fields: dict[str, tuple[int, Any]] = {}
        self._routes: set[Route] = set()

    def merge(self, captured_ms: int, fields: dict[str, Any]) -> None:
        """Let `fields` win over what was captured before; null is a value."""
        for name, value in fields.items():
            known = self._fields.get(name)
            if known is None or known[0] <= captured_ms:
                self._fields[name] = captured_ms, value

    def hold(self, route: Route, entry: EntryId) -> None:
        """Keep the route's cursor before `entry` until this is sent."""
        route.held[self] = min(entry, route.held.get(self, entry))
        self._routes.add(route)

    def settle(self) -> None:
        """Let cursors move on: this was sent, or never will be."""
        for route in self._routes:
            route.held.pop(self, None)
            route.moved = True

    def text(self) -> str:
        """Return the message."""
        car = CurrentCar(**{name: value for name, (_, value) in self._fields.items()})
        return PatchSession(sessionId=self.session, data=SessionPatch(currentCar=car)).text()


class Patches:
    """The patches of one connection, oldest first."""

    def __init__(self, counters: Counters, clock: Callable[[], float] = time.monotonic) -> None:
        self._counters = counters
        self._clock = clock
        self._waiting: dict[tuple[type, int | str], Patch] = {}

    def add(self, route: Route, entry: EntryId, captured_ms: int, session: int | str, fields: dict[str, Any]) -> None:
        """Merge what a late detection of a session tells into its patch."""
        name = type(session), session
        patch = self._waiting.get(name)
        if patch is None:
            if len(self._waiting) >= SESSIONS:
                self._waiting.pop(next(iter(self._waiting))).settle()
                self._counters.pushed_out += 1
            patch = self._waiting[name] = Patch(session, self._clock() + WAIT_S)
        patch.merge(captured_ms, fields)
        patch.hold(route, entry)

    def due_in_s(self) -> float | None:
        """Return how long the next patch still waits, or None when there is none."""
        first = next(iter(self._waiting.values()), None)
        return None if first is None else max(0.0, first.due_s - self._clock())

    def take_due(self) -> Patch | None:
        """Take the oldest patch, if it has waited long enough."""
        return self._take(next(iter(self._waiting.values()))) if self.due_in_s() == 0 else None

    def take_of(self, route: Route) -> Patch | None:
        """Take a patch that must be sent before anything newer of `route`."""
        return self._take(next(iter(route.held))) if route.held else None

    def _take(self, patch: Patch) -> Patch:
        del self._waiting[type(patch.session), patch.session]
        return patch
