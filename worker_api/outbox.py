"""What one connection has not been sent yet: bounded by construction, newest first to matter."""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable

from contract.results import EntryId
from worker_api.counters import Counters
from worker_api.late import Late
from worker_api.patches import Patch, Patches
from worker_api.routes import Route, Waiting

#: Answers and errors that wait for a slow reader; beyond it the connection's own messages are not read on.
REPLIES = 256
#: Detections that wait before the reader counts as slow, and then only the newest of each subscription does.
DETECTIONS = 512
BYTES = 2 * 2**20
#: After all entries.
NO_DOUBT: EntryId = (2**63, 0)


class Outbox:
    """One client's unsent messages.

    A heartbeat replaces the heartbeat before it and goes first; then answers and errors, oldest first; then patches
    that have waited for long enough; then detections, oldest first, for as long as they are live. What is thinned out
    for a slow reader, or got late here, becomes a patch or is counted.

    Attributes:
        doubted_from: gives the first entry that may not have arrived though it was sent.
        resuming: routes that a scan brings here: patches wait for all that it finds.
    """

    def __init__(self, counters: Counters, late: Late, doubted_from: Callable[[], EntryId] = lambda: NO_DOUBT) -> None:
        self.doubted_from = doubted_from
        self._counters = counters
        self._late = late
        self.closing = False
        self.resuming: set[Route] = set()
        self._heartbeat: str | None = None
        self._replies: deque[str] = deque()
        self._patches = Patches(counters)
        self._detections: deque[Waiting] = deque()
        self._bytes = 0
        self._most, self._most_bytes = DETECTIONS, BYTES
        self._in_hand: Waiting | Patch | None = None
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._drained = asyncio.Event()
        self._drained.set()

    def put_heartbeat(self, body: str) -> None:
        """Send this state next, instead of an older one that still waits."""
        self._heartbeat = body
        self._filled.set()

    def put_reply(self, body: str) -> None:
        """Send this answer or error in its turn."""
        if len(self._replies) >= 2 * REPLIES:
            self._replies.popleft()
            self._counters.pushed_out += 1
        self._replies.append(body)
        if len(self._replies) >= REPLIES:
            self._room.clear()
        self._filled.set()

    def put_detection(self, item: Waiting) -> None:
        """Send this detection in its turn."""
        item.route.accept(item)
        self._detections.append(item)
        self._bytes += len(item.body)
        if len(self._detections) > self._most or self._bytes > self._most_bytes:
            self._thin()
        if 2 * len(self._detections) > self._most or 2 * self._bytes > self._most_bytes:
            self._drained.clear()
        self._filled.set()

    def put_late(self, item: Waiting) -> None:
        """Let the session that this detection was for know of it, if there is anything to know."""
        patch = self._late.patch_of(item.body, nothing=item.nothing)
        if patch is not None:
            self._patches.add(item.route, item.id, item.captured_ms, *patch)
            self._filled.set()

    def end_resuming(self, route: Route) -> None:
        """Let patches go that have waited for this route, if it was the last."""
        self.resuming.discard(route)
        self._filled.set()

    def close(self) -> None:
        """Let the writer end the connection instead of sending the rest."""
        self.closing = True
        self._filled.set()

    @property
    def crowded(self) -> bool:
        """Whether the reader should take some before more is put here, if that can wait."""
        return not self._drained.is_set()

    async def room(self) -> None:
        """Wait until an answer would not be pushed out: who does not read is not listened to."""
        await self._room.wait()

    async def drained(self, within_s: float) -> bool:
        """Wait until the reader has taken most of the detections; return False if it did not."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._drained.wait()
        return self._drained.is_set()

    async def filled(self) -> None:
        """Wait until there may be something to do."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(None if self.resuming else self._patches.due_in_s()):
                await self._filled.wait()

    def pop(self) -> str | None:
        """Return what is sent next, or None when there is nothing; `confirm` it when it was sent."""
        self._in_hand = None
        if self._heartbeat is not None:
            body, self._heartbeat = self._heartbeat, None
            return body
        if self._replies:
            body = self._replies.popleft()
            if len(self._replies) < REPLIES:
                self._room.set()
            return body
        if not self.resuming and (patch := self._patches.take_due()):
            return self._hand_over(patch)
        return self._next_detection()

    def confirm(self) -> None:
        """Note that what was popped last was sent."""
        if isinstance(self._in_hand, Waiting):
            self._in_hand.route.sent(self._in_hand)
            self._counters.relayed += 1
        elif self._in_hand is not None:
            self._in_hand.settle()
            self._counters.patches_sent += 1
        self._in_hand = None

    def _next_detection(self) -> str | None:
        while self._detections:
            item = self._detections[0]
            if item.route.alive and not self._late.is_late(item.captured_ms):
                if patch := self._patches.take_of(item.route):
                    return self._hand_over(patch)
                self._in_hand = self._shift()
                return item.body.decode()
            self._shift()
            if item.route.alive:
                item.route.meter.late += 1
                self.put_late(item)
                item.route.withdraw(item)
        if not self.resuming and (patch := self._patches.take_due()):
            return self._hand_over(patch)
        self._filled.clear()
        return None

    def _hand_over(self, patch: Patch) -> str:
        self._in_hand = patch
        return patch.text()

    def _shift(self) -> Waiting:
        item = self._detections.popleft()
        self._bytes -= len(item.body)
        if 4 * len(self._detections) <= self._most and 4 * self._bytes <= self._most_bytes:
            self._drained.set()
        return item

    def _thin(self) -> None:
        """Keep the newest of each subscription."""
        newest = {item.route: item for item in self._detections if item.route.alive}
        for item in self._detections:
            if item.route.alive and newest[item.route] is not item:
                self._counters.replaced += 1
                item.route.meter.replaced += 1
                self.put_late(item)
                item.route.withdraw(item)
        # In the order of their age, also between subscriptions.
        self._detections = deque(sorted(newest.values(), key=lambda item: item.id))
        self._bytes = sum(len(item.body) for item in self._detections)
        # A connection with very many subscriptions, or large ones, would be thinned with every detection.
        self._most = max(DETECTIONS, 2 * len(self._detections))
        self._most_bytes = max(BYTES, 2 * self._bytes)
