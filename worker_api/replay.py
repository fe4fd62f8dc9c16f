"""Brings subscriptions that return up to the present: what they missed is read from the stream once for all of them."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import cast

from redis.asyncio import Redis

from contract import results
from contract.cursors import Cursor
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.results import EntryId, entry_id, following, spelled
from worker_api.counters import Counters
from worker_api.cursors import Cursors
from worker_api.hub import Hub
from worker_api.outbox import Outbox
from worker_api.routes import Route
from worker_api.stream import Extent, extent

log = logging.getLogger(__name__)

#: Entries in one read, and the pause after it: a bound on memory, and on how long live results wait behind a replay.
_AT_ONCE = 256
_PAUSE_S = 0.003
#: A reader that takes nothing for this long holds up the others of its scan no more.
_PATIENCE_S = 1.0
#: Who returns waits for others, so that the late detections of a session are one patch.
_QUIET_S = 0.05
_LATEST_S = 0.5
#: What is less behind the relay than this does not wait for what is more.
_NEAR_MS = 2000
#: A cursor this much ahead of the server's clock is of another life of the server.
_AHEAD_MS = 1000

Entries = Sequence[tuple[bytes, Mapping[bytes, bytes]]]


class Replay:
    """Finds the place of each route that returns and puts it into a scan.

    Attributes:
        near, far: the two scans.
    """

    def __init__(self, redis: Redis, keys: Keys, hub: Hub, cursors: Cursors, counters: Counters) -> None:
        self.near = Scan(redis, keys, hub, counters)
        self.far = Scan(redis, keys, hub, counters)
        self._redis = redis
        self._keys = keys
        self._hub = hub
        self._cursors = cursors

    async def step(self) -> None:
        """Wait for routes that return, and place them."""
        routes = await self._gathered()
        if self._hub.next is None or not routes:
            await asyncio.sleep(0.02)  # The relay will know in a moment where it begins.
            self._hub.placed(())
            return
        places = await self._cursors.read(routes)
        stream = await extent(self._redis, self._keys.detections)
        for route, cursor in zip(routes, places, strict=True):
            self._place(route, cursor, stream)
        self._hub.placed(routes)
        near_ms = self._hub.next[0] - _NEAR_MS
        self.near.add([route for route in routes if route.next[0] >= near_ms])
        self.far.add([route for route in routes if route.next[0] < near_ms])

    async def _gathered(self) -> list[Route]:
        """Return who is there once nobody has joined for a moment: a CMS subscribes to one after the other."""
        routes = await self._hub.returned()
        latest_s = time.monotonic() + _LATEST_S
        while time.monotonic() < latest_s:
            await asyncio.sleep(_QUIET_S)
            before, routes = len(routes), await self._hub.returned()
            if len(routes) == before:
                break
        return routes

    def _place(self, route: Route, cursor: Cursor | None, stream: Extent) -> None:
        if cursor is None or cursor.next[0] > max(stream.next[0], stream.now_ms) + _AHEAD_MS:
            # Each subscription has a cursor from its beginning on: the server has forgotten it, and what came since.
            self._hub.lose(route, min(cursor.next[0], stream.now_ms) if cursor else stream.first[0], stream.now_ms)
            route.begin(stream.next)
        elif cursor.begun != route.begun:
            route.begin(stream.next)
        elif stream.misses(cursor.next):
            self._hub.lose(route, cursor.next[0], stream.first[0])
            route.begin(stream.first, cursor)
        else:
            route.begin(cursor.next, cursor)


class Scan:
    """Reads the stream for routes that are behind the relay, until they have overtaken it."""

    def __init__(self, redis: Redis, keys: Keys, hub: Hub, counters: Counters) -> None:
        self._redis = redis
        self._keys = keys
        self._hub = hub
        self._counters = counters
        self._routes: set[Route] = set()
        self._slow: set[Outbox] = set()
        self._any = asyncio.Event()

    def add(self, routes: Sequence[Route]) -> None:
        """Bring these up to the present."""
        for route in routes:
            route.outbox.resuming.add(route)
        self._routes.update(routes)
        if self._routes:
            self._any.set()

    async def step(self) -> None:
        """Wait for routes; scan once, from the earliest of their places on, with all whose place is on the way."""
        await self._any.wait()
        self._slow.clear()
        life = self._hub.life
        at = min((route.next for route in self._living()), default=(0, 0))
        while members := {route.id.encode(): route for route in self._living() if route.next >= at}:
            read = self._hub.next or at
            chunk = await cast(
                "Awaitable[Entries]", self._redis.xrange(self._keys.detections, min=spelled(at), count=_AT_ONCE)
            )
            for raw, fields in chunk:
                await self._take(members, entry_id(raw), fields)
            if self._hub.life != life:
                return  # Its places are of a stream that is no more.
            at = following(entry_id(chunk[-1][0])) if chunk else at
            if len(chunk) < _AT_ONCE:
                # To the end: so also past all that the relay had read before.
                at = max(at, read)
            for route in members.values():
                route.next = max(route.next, at)
            if len(chunk) < _AT_ONCE and self._hub.next is not None and self._hub.next <= at:
                self._finish(members.values())
            else:
                await asyncio.sleep(_PAUSE_S)
        if not self._routes:
            self._any.clear()

    def _living(self) -> set[Route]:
        self._routes = {route for route in self._routes if route.alive}
        return self._routes

    async def _take(self, members: Mapping[bytes, Route], entry: EntryId, fields: Mapping[bytes, bytes]) -> None:
        route = members.get(fields.get(b"s", b""))
        if route is None or entry < route.next:
            return
        outbox = route.outbox
        if outbox.crowded and outbox not in self._slow and not await outbox.drained(_PATIENCE_S):
            self._slow.add(outbox)
        if not route.alive:
            return
        route.next = following(entry)
        try:
            self._hub.take(route, entry, results.decode(self._keys, fields))
            self._counters.replayed += 1
        except RecordInvalid as exc:
            self._counters.entries_unreadable += 1
            log.warning("an entry is left out: %s", exc)

    def _finish(self, routes: Iterable[Route]) -> None:
        for route in routes:
            if route.alive:
                self._hub.go_live(route, route.next)
            self._routes.discard(route)
