"""How far each subscription was delivered: the `cursors` hash, between gateways.

    cursors  HASH  subscription id -> "revision ms-number captured_ms nothing begun"   as long as its subscription

Written with a new subscription, and with one that asks for another inference; then by the gateway that delivers, in
batches. `docs/delivery.md` says what follows from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from redis.asyncio import Redis

from contract.clients import AnyPipeline
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.results import EntryId, entry_id, spelled
from contract.scripts import Script
from contract.subscriptions import Subscription

_PUT = Script("cursors.lua")


@dataclass(frozen=True, slots=True)
class Cursor:
    """Where a subscription's delivery goes on.

    Attributes:
        revision: of the subscription that was delivered to; the greatest one's word counts.
        next: the first entry that is not settled.
        captured_ms: Unix ms of the newest frame that was sent; 0: none.
        nothing: that frame showed nothing.
        begun: of the subscription: what came before is not this one's to send.
    """

    revision: int
    next: EntryId
    captured_ms: int
    nothing: bool
    begun: int


def encode(cursor: Cursor) -> str:
    """Return the record as it is stored."""
    return f"{cursor.revision} {spelled(cursor.next)} {cursor.captured_ms} {int(cursor.nothing)} {cursor.begun}"


def decode(keys: Keys, raw: bytes) -> Cursor:
    """Return the cursor of a stored record.

    Raises:
        RecordInvalid: it does not have the parts of one.
    """
    try:
        revision, following, captured_ms, nothing, begun = raw.split(b" ")
        return Cursor(int(revision), entry_id(following), int(captured_ms), nothing == b"1", int(begun))
    except ValueError as exc:
        raise RecordInvalid(keys.cursors, f"a cursor cannot be read ({exc})") from exc


def begin(pipe: AnyPipeline, keys: Keys, subscription: Subscription, now_ms: int) -> None:
    """Queue: nothing was delivered yet, and nothing from before `now_ms` (the server's clock) will be."""
    cursor = Cursor(subscription.revision, (now_ms, 0), 0, False, subscription.begun)
    pipe.hset(keys.cursors, subscription.id, encode(cursor))


def remove(pipe: AnyPipeline, keys: Keys, ids: Iterable[str]) -> None:
    """Queue: these subscriptions have ended."""
    pipe.hdel(keys.cursors, *ids)


async def put(redis: Redis, keys: Keys, cursors: Mapping[str, Cursor]) -> None:
    """Store cursors by subscription; those of subscriptions that have ended, or gone on elsewhere, are left out."""
    args = [part for subscription, cursor in cursors.items() for part in (subscription, encode(cursor))]
    await _PUT.run(redis, [keys.cursors, keys.subscriptions], args)


def queue_read(pipe: AnyPipeline, keys: Keys, ids: Iterable[str]) -> None:
    """Queue the read of the cursors of `ids` (one reply: a record or None for each)."""
    pipe.hmget(keys.cursors, list(ids))
