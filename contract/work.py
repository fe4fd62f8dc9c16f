"""Work that is ready, claimed and finished: the three scripts between capture (`mark`) and workers (`turn`, `renew`).

    ready:{pipeline}    ZSET    group -> ms from which it may be claimed; oldest first
    running:{pipeline}  ZSET    group -> ms at which its lease ends; both expire like groups
    wake:{pipeline}     STRING  ms of the last wake-up sent; at most one is outstanding
    waits:{pipeline}    STRING  a worker waits for the bell; expires soon after it should have left
    bell:{pipeline}     LIST    rung when there is work and somebody waits
    group:{group}       HASH    seen   newest seq published
                                done   newest seq whose result is in the stream
                                lease  the batch that holds it
                                tries  leases that ran out in a row
                                tracks tracker state after `done`
                                offered  frames published for it so far
                                expires `GROUP_TTL_MS` after its last frame

A group is idle, ready or running; whatever dies, its lease ends and it is ready again: nothing needs a janitor.
Results enter the stream in the same step that ends the lease, and only from the batch that holds it: never two
results for one (group, seq), never an older one after a newer. All clocks are the state server's.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import cast

from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from contract.keys import Group, Keys, PipelineId
from contract.results import Entry
from contract.scripts import Arg, Script

#: A worker that dies loses its batch after this; renewed three times as often.
LEASE_MS = 3_000
#: A wake-up that nobody answered for this long may be sent again.
WAKE_MS = 500
GROUP_TTL_MS = 3_600_000
#: What a waiting worker is late by at most before it counts as gone.
_LATE_MS = 50

_MARK = Script("work.lua", "mark.lua")
_TURN = Script("work.lua", "turn.lua")
_RENEW = Script("work.lua", "renew.lua")
_OFFERED = Script("offered.lua")


class Wake(IntEnum):
    """Whether a pipeline's workers must be woken."""

    NO = 0
    SEND = 1
    SEND_IF_QUEUE_EMPTY = 2


@dataclass(frozen=True, slots=True)
class Claim:
    """One group whose newest frame is ours to compute.

    Attributes:
        seen: newest seq published when it was claimed; the frame that is read may be newer still.
        done: newest seq that has a result.
        tracks: tracker state after `done`.
    """

    group: Group
    seen: int
    done: int
    tracks: bytes


@dataclass(frozen=True, slots=True)
class Finished:
    """One claimed group, computed: what is known now. No entries: there was nothing to say."""

    group: Group
    seq: int
    tracks: bytes = b""
    entries: tuple[Entry, ...] = ()


@dataclass(frozen=True, slots=True)
class Turn:
    """What a turn gave.

    Attributes:
        version: of the subscriptions, at the time of the claim.
        refused: finished items that were no longer ours.
    """

    batch: str
    version: int
    wake: Wake
    refused: int
    claims: tuple[Claim, ...] = field(default=())


def mark(
    redis: Redis, keys: Keys, seq: int, groups: Mapping[PipelineId, Sequence[Group]], *, wake_ms: int = WAKE_MS
) -> dict[PipelineId, Wake]:
    """Say that frame `seq` is stored for `groups`; return which pipelines must be woken, and how."""
    args: list[Arg] = [keys.prefix, wake_ms, seq, GROUP_TTL_MS]
    for pipeline, members in groups.items():
        args += [pipeline, len(members), *members]
    wakes = cast("list[int]", _MARK(redis, [], args))
    return {pipeline: Wake(wake) for pipeline, wake in zip(groups, wakes, strict=True)}


async def offered(redis: AsyncRedis, keys: Keys, groups: Sequence[Group]) -> dict[Group, int]:
    """Return how many frames were published for each group so far; 0 for one that is not known."""
    counts = cast("list[int]", await _OFFERED.run(redis, [keys.group(group) for group in groups], []))
    return dict(zip(groups, counts, strict=True))


@dataclass(frozen=True, slots=True, kw_only=True)
class Turner:
    """Takes turns at one pipeline's work.

    Attributes:
        retention_ms: results older than this leave the stream.
        max_bytes: the oldest beyond this much memory leave it too, about: the server's has an end.
    """

    redis: Redis
    keys: Keys
    pipeline: PipelineId
    retention_ms: int
    max_bytes: int = 512 * 2**20
    lease_ms: int = LEASE_MS
    wake_ms: int = WAKE_MS

    def turn(
        self,
        *,
        room: int,
        answers_wake: bool,
        stay_s: float = 0.0,
        batch: str = "",
        finished: Iterable[Finished] = (),
    ) -> Turn:
        """Finish `finished` (claimed as `batch`) and claim up to `room` groups, in one step.

        Args:
            room: groups to claim at most; 0 to finish only.
            answers_wake: this turn is the answer to a wake-up: the next one may be sent.
            stay_s: when there is nothing to claim, this worker will `wait` for so long: until then no wake-up is due.
            batch: the `Turn.batch` that `finished` was claimed with.
            finished: what was computed, or could not be.
        """
        items = tuple(finished)
        claimed_as = secrets.token_hex(8)
        args: list[Arg] = [self.keys.prefix, self.wake_ms, self.pipeline, claimed_as, batch]
        args += [
            int(answers_wake),
            math.ceil(stay_s * 1000) + _LATE_MS if stay_s else 0,
            room,
            self.lease_ms,
            self.retention_ms,
            self.max_bytes,
            GROUP_TTL_MS,
            len(items),
        ]
        for item in items:
            args += [item.group, item.seq, item.tracks, len(item.entries)]
            for entry in item.entries:
                args += [entry.subscription, entry.captured_ms, int(entry.nothing), entry.body]
        version, wake, refused, *flat = cast("list[bytes]", _TURN(self.redis, [], args))
        claims = tuple(
            Claim(Group(group.decode()), int(seen), int(done), tracks)
            for group, seen, done, tracks in zip(*[iter(flat)] * 4, strict=True)
        )
        return Turn(claimed_as, int(version), Wake(int(wake)), int(refused), claims)

    def wait(self, seconds: float) -> None:
        """Return when there may be work, after `seconds` at the latest."""
        self.redis.blpop([self.keys.bell(self.pipeline)], max(seconds, 0.001))

    def renew(self, batch: str, groups: Sequence[Group]) -> int:
        """Prolong the leases of `groups` that `batch` still holds; return how many those are."""
        args: list[Arg] = [self.keys.prefix, self.wake_ms, self.pipeline, batch, self.lease_ms, *groups]
        return int(_RENEW(self.redis, [], args))
