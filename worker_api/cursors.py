"""Notes in Redis how far each subscription was delivered, and reads it when one returns."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import TypeVar

from redis.asyncio import Redis

from contract import cursors
from contract.cursors import Cursor
from contract.errors import RecordInvalid
from contract.keys import Keys
from worker_api.hub import Hub
from worker_api.outage import obey_cancellation
from worker_api.routes import Route

log = logging.getLogger(__name__)

T = TypeVar("T")

#: What was delivered since the last time is sent again if this process is killed.
FLUSH_S = 0.4
#: Cursors in one step of the server's.
_AT_ONCE = 500


class Cursors:
    """The cursors of one gateway's routes."""

    def __init__(self, redis: Redis, keys: Keys, hub: Hub) -> None:
        self._redis = redis
        self._keys = keys
        self._hub = hub
        self._lock = asyncio.Lock()

    async def flush(self) -> None:
        """Note what has moved."""
        relay = self._hub.next
        if relay is None:
            return
        async with self._lock:
            departed = list(self._hub.departed.items())
            for part in _parts(departed):
                await cursors.put(self._redis, self._keys, dict(part))
                for subscription, cursor in part:
                    if self._hub.departed.get(subscription) is cursor:
                        del self._hub.departed[subscription]
            for routes in _parts(self._hub.moved(time.monotonic())):
                await self._note(routes, relay)

    async def _note(self, routes: Sequence[Route], relay: tuple[int, int]) -> None:
        noted = {route.id: route.cursor(relay) for route in routes}
        for route in routes:
            route.moved = False
        try:
            await cursors.put(self._redis, self._keys, noted)
        except BaseException:
            for route in routes:
                route.moved = True
            raise
        for route in routes:
            route.noted_s = time.monotonic()

    async def read(self, routes: Sequence[Route]) -> list[Cursor | None]:
        """Return where these were left, after noting what this gateway knows; None: nobody knows."""
        await self.flush()
        pipe = self._redis.pipeline(transaction=False)
        cursors.queue_read(pipe, self._keys, [route.id for route in routes])
        (records,) = await pipe.execute()
        obey_cancellation()
        return [self._decode(raw) for raw in records]

    def _decode(self, raw: bytes | None) -> Cursor | None:
        try:
            return None if raw is None else cursors.decode(self._keys, raw)
        except RecordInvalid as exc:
            log.warning("a cursor is left out: %s", exc)
            return None


def _parts(items: Sequence[T]) -> list[Sequence[T]]:
    return [items[i : i + _AT_ONCE] for i in range(0, len(items), _AT_ONCE)]
