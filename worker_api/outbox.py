"""What one connection has not been sent yet: bounded by construction, newest first to matter."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque

from worker_api.counters import Counters

#: Answers and errors that wait for a slow reader; beyond it the connection's own messages are not read on.
REPLIES = 256


class Outbox:
    """One client's unsent messages.

    A heartbeat replaces the heartbeat before it and goes first; then answers and errors, oldest first; then
    detections: at most one per subscription, newest wins. What is replaced or pushed out is counted, not kept.
    """

    def __init__(self, counters: Counters) -> None:
        self._counters = counters
        self.closing = False
        self._heartbeat: str | None = None
        self._replies: deque[str] = deque()
        self._newest: OrderedDict[str, bytes] = OrderedDict()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

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

    def put_detection(self, subscription: str, body: bytes) -> None:
        """Send this detection, instead of an older one of the same subscription that still waits."""
        self._counters.replaced += subscription in self._newest
        self._newest[subscription] = body
        self._filled.set()

    def close(self) -> None:
        """Let the writer end the connection instead of sending the rest."""
        self.closing = True
        self._filled.set()

    async def room(self) -> None:
        """Wait until an answer would not be pushed out: who does not read is not listened to."""
        await self._room.wait()

    async def filled(self) -> None:
        """Wait until there is something to do."""
        await self._filled.wait()

    def pop(self) -> str | None:
        """Return what is sent next, or None when there is nothing."""
        if self._heartbeat is not None:
            body, self._heartbeat = self._heartbeat, None
            return body
        if self._replies:
            body = self._replies.popleft()
            if len(self._replies) < REPLIES:
                self._room.set()
            return body
        if self._newest:
            return self._newest.popitem(last=False)[1].decode()
        self._filled.clear()
        return None
