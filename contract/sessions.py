"""Which session a display had when: the `sessions` hash. And what CMSs could not do with what we sent for one.

    sessions          HASH    display -> JSON [[since_ms, session id or null], ...], newest last
    sessions_version  INT     counts up with every change
    patch_failures    STREAM  session message   about the last `FAILURES` patches that a CMS could not apply

The session of a result is the one that its display had when the frame was *captured*: former ones are kept for as long
as results are.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Collection, Mapping
from typing import cast

import orjson
from redis import Redis

from contract.clients import AnyPipeline
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.subscriptions import changed

log = logging.getLogger(__name__)

SessionId = int | str | None
Changes = tuple[tuple[int, SessionId], ...]

#: Changes of one display that are kept at most: three a second for the five minutes that results are.
HISTORY = 1000
FAILURES = 1000


def extended(history: Changes, since_ms: int, session: SessionId, kept_ms: int) -> Changes:
    """Return `history` with one more change, and without what was over longer than `kept_ms` ago."""
    longer = (*history, (since_ms, session))[-HISTORY:]
    # A session is over when the next one begins.
    over = sum(until <= since_ms - kept_ms for until, _ in longer[1:])
    return longer[over:]


def at(history: Changes, when_ms: int) -> SessionId:
    """Return the session at Unix time `when_ms`, or None when there was none (or it is forgotten)."""
    return next((session for since, session in reversed(history) if since <= when_ms), None)


def put(pipe: AnyPipeline, keys: Keys, display: str, history: Changes) -> None:
    """Queue: store a display's sessions."""
    pipe.hset(keys.sessions, display, orjson.dumps(history))
    changed(pipe, keys.sessions_version)


def remove(pipe: AnyPipeline, keys: Keys, displays: list[str]) -> None:
    """Queue: forget the sessions of `displays`."""
    pipe.hdel(keys.sessions, *displays)
    changed(pipe, keys.sessions_version)


def queue_read(pipe: AnyPipeline, keys: Keys) -> None:
    """Queue the two reads of everything: the version, and records for `decode_all`."""
    pipe.get(keys.sessions_version)
    pipe.hgetall(keys.sessions)


@functools.lru_cache(maxsize=8192)
def decode(key: str, raw: bytes) -> Changes:
    """Return a display's sessions, oldest first. Remembers the last 8192.

    Raises:
        RecordInvalid: they cannot be read.
    """
    try:
        return tuple((int(since_ms), session) for since_ms, session in orjson.loads(raw))
    except (ValueError, TypeError) as exc:
        raise RecordInvalid(key, f"the sessions of a display cannot be read ({exc})") from exc


def decode_all(keys: Keys, records: Mapping[bytes, bytes]) -> dict[str, Changes]:
    """Return display -> its sessions, oldest first; a record that cannot be read is left out."""
    found = {}
    for display, raw in records.items():
        try:
            found[display.decode()] = decode(keys.sessions, raw)
        except RecordInvalid as exc:
            log.warning("the sessions of a display are left out: %s", exc)
    return found


def read(redis: Redis, keys: Keys, displays: Collection[str]) -> dict[str, Changes]:
    """Return the sessions of those of `displays` that have any, oldest first."""
    if not displays:
        return {}
    names = [display.encode() for display in displays]
    records = cast("list[bytes | None]", redis.hmget(keys.sessions, names))
    return decode_all(keys, {name: raw for name, raw in zip(names, records, strict=True) if raw is not None})


def note_failure(pipe: AnyPipeline, keys: Keys, session: SessionId, message: str) -> None:
    """Queue: keep for the operator that a CMS could not apply a patch."""
    pipe.xadd(keys.patch_failures, {"session": orjson.dumps(session), "message": message}, maxlen=FAILURES)
