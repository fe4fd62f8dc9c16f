"""The one loop per gateway that follows the streams `detections` and `problems` for all connections."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from contract import clients, problems, results
from contract.errors import RecordInvalid
from contract.keys import Keys
from worker_api.counters import Counters
from worker_api.hub import Hub
from worker_api.outage import AWAY

log = logging.getLogger(__name__)

#: Entries of each stream in one read: a bound on what is in memory, and on how long other tasks wait.
_AT_ONCE = 256
_BLOCK_MS = int(clients.SOCKET_TIMEOUT_S * 1000 / 3)

Fields = Mapping[bytes, bytes]
Reply = Sequence[tuple[bytes, list[tuple[bytes, Fields]]]]


class Relay:
    """Reads from the current end on; what was added while the server was away follows when it is back."""

    def __init__(self, redis: Redis, keys: Keys, hub: Hub, counters: Counters) -> None:
        self._redis = redis
        self._keys = keys
        self._hub = hub
        self._counters = counters
        self._last: dict[str, bytes] = {}
        self._sought = False
        self._takers: dict[bytes, Callable[[Fields], None]] = {
            keys.detections.encode(): lambda fields: hub.deliver(results.decode(keys, fields)),
            keys.problems.encode(): lambda fields: hub.tell(problems.decode(keys, fields)),
        }

    async def step(self) -> None:
        """Wait for entries and hand them on."""
        try:
            if not self._sought:
                await self._seek()
            reply = await cast(
                "Awaitable[Reply]", self._redis.xread(cast("Any", self._last), count=_AT_ONCE, block=_BLOCK_MS)
            )
        except AWAY:
            self._sought = False
            raise
        for stream, entries in reply:
            self._hand_on(stream, entries)

    async def _seek(self) -> None:
        """Begin at the end of each stream; later, only where a stream has lost its memory and begun anew."""
        for stream in (self._keys.detections, self._keys.problems):
            newest = cast("list[tuple[bytes, Fields]]", await self._redis.xrevrange(stream, count=1))
            end = newest[0][0] if newest else b"0-0"
            known = self._last.get(stream)
            if known is None or _order(end) < _order(known):
                self._last[stream] = end
        self._sought = True

    def _hand_on(self, stream: bytes, entries: list[tuple[bytes, Fields]]) -> None:
        take = self._takers[stream]
        for _, fields in entries:
            try:
                take(fields)
            except (RecordInvalid, ValueError) as exc:
                self._counters.entries_unreadable += 1
                log.warning("an entry is left out: %s", exc)
        if entries:
            self._last[stream.decode()] = entries[-1][0]


def _order(entry_id: bytes) -> tuple[int, int]:
    ms, _, count = entry_id.partition(b"-")
    return int(ms), int(count)
