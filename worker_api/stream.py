"""What the server says of a stream as a whole."""

from __future__ import annotations

from dataclasses import dataclass

from redis.asyncio import Redis
from redis.exceptions import ResponseError

from contract.results import EntryId, entry_id, following


@dataclass(frozen=True, slots=True)
class Extent:
    """From where to where a stream reaches.

    Attributes:
        first: its oldest entry; that of an empty one would be the next to come.
        next: the least id that an entry may have that is added now.
        trimmed: there were older ones.
        now_ms: the server's clock.
    """

    first: EntryId
    next: EntryId
    trimmed: bool
    now_ms: int

    def misses(self, wanted: EntryId) -> bool:
        """Return whether entries from `wanted` on may have been there and are no more."""
        return self.trimmed and wanted < self.first


async def extent(redis: Redis, stream: str) -> Extent:
    """Return how far `stream` reaches; one that is not there is empty."""
    pipe = redis.pipeline(transaction=True)
    pipe.time()
    pipe.xinfo_stream(stream)
    (seconds, micros), info = await pipe.execute(raise_on_error=False)
    now_ms = int(seconds) * 1000 + int(micros) // 1000
    if isinstance(info, ResponseError):
        return Extent((0, 0), (0, 0), False, now_ms)
    end = following(entry_id(info["last-generated-id"]))
    first = entry_id(info["first-entry"][0]) if info["first-entry"] else end
    # Servers before Redis 7 do not count what was added: what they are missing, they may have had.
    return Extent(first, end, info.get("entries-added", float("inf")) > info["length"], now_ms)
