"""The one loop per gateway that follows the streams `detections` and `problems` for all connections."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis

from contract import clients, problems, results
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.results import EntryId, entry_id, following, spelled
from worker_api.counters import Counters
from worker_api.hub import Hub
from worker_api.outage import AWAY
from worker_api.stream import extent

log = logging.getLogger(__name__)

#: Entries of each stream in one read: a bound on what is in memory, and on how long other tasks wait.
_AT_ONCE = 256
_BLOCK_MS = int(clients.SOCKET_TIMEOUT_S * 1000 / 3)
#: After a longer pause of this process what it had not read may have been trimmed.
_LONG_S = 60.0

Fields = Mapping[bytes, bytes]
Reply = Sequence[tuple[bytes, list[tuple[bytes, Fields]]]]


class Relay:
    """Reads from the current end on; what was added while the server was away follows when it is back."""

    def __init__(self, redis: Redis, keys: Keys, hub: Hub, counters: Counters) -> None:
        self._redis = redis
        self._keys = keys
        self._hub = hub
        self._counters = counters
        self._last: dict[str, EntryId] = {}
        self._sought = False
        self._idle = False
        self._read_s = time.monotonic()

    async def step(self) -> None:
        """Wait for entries and hand them on."""
        try:
            if not self._sought or time.monotonic() - self._read_s > _LONG_S:
                await self._seek()
            # Asked before the read: if that finds nothing, there is nothing before this moment.
            now_ms = await self._now_ms() if self._idle else 0
            after = {stream: spelled(last) for stream, last in self._last.items()}
            reply = await cast(
                "Awaitable[Reply]", self._redis.xread(cast("Any", after), count=_AT_ONCE, block=_BLOCK_MS)
            )
        except AWAY:
            self._sought = False
            raise
        self._read_s = time.monotonic()
        self._idle = not reply
        if self._idle and now_ms:
            self._advance((now_ms, 0))
        for stream, entries in reply:
            self._hand_on(stream.decode(), entries)

    async def _seek(self) -> None:
        """Begin at the end of each stream; later, make sure that it is still the one that was read."""
        for stream in (self._keys.detections, self._keys.problems):
            known = self._last.get(stream)
            there = await extent(self._redis, stream)
            if known is None:
                self._last[stream] = (there.next[0], there.next[1] - 1) if there.next > (0, 0) else (0, 0)
                if stream == self._keys.detections:
                    self._advance(there.next)
            elif known > (0, 0) and not await self._redis.xrange(stream, min=spelled(known), max=spelled(known)):
                anew = not there.trimmed or there.next <= known
                if anew:
                    self._last[stream] = (0, 0)
                if stream == self._keys.detections and (anew or time.monotonic() - self._read_s > _LONG_S):
                    log.warning("results that were not read yet are gone")
                    self._hub.lose_all(known[0], there.now_ms if anew else there.first[0])
        self._sought = True

    async def _now_ms(self) -> int:
        seconds, micros = await self._redis.time()
        return int(seconds) * 1000 + int(micros) // 1000

    def _advance(self, following_id: EntryId) -> None:
        self._hub.next = max(self._hub.next or (0, 0), following_id)

    def _hand_on(self, stream: str, entries: list[tuple[bytes, Fields]]) -> None:
        for raw, fields in entries:
            try:
                if stream == self._keys.detections:
                    self._hub.deliver(entry_id(raw), results.decode(self._keys, fields))
                else:
                    self._hub.tell(problems.decode(self._keys, fields))
            except (RecordInvalid, ValueError) as exc:
                self._counters.entries_unreadable += 1
                log.warning("an entry is left out: %s", exc)
        self._last[stream] = entry_id(entries[-1][0])
        if stream == self._keys.detections:
            self._advance(following(self._last[stream]))
