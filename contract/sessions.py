"""Which session a display had when: the `sessions` hash.

    sessions  HASH  display -> JSON [[since_ms, session id or null], ...], newest last, at most `HISTORY`

The session of a result is the one that its display had when the frame was *captured*, so a few former ones are kept.
"""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from contract.clients import AnyPipeline
from contract.keys import Keys
from contract.subscriptions import changed

SessionId = int | str | None
Changes = tuple[tuple[int, SessionId], ...]

HISTORY = 32


def extended(history: Changes, since_ms: int, session: SessionId) -> Changes:
    """Return `history` with one more change; the oldest one beyond `HISTORY` goes."""
    return (*history, (since_ms, session))[-HISTORY:]


def at(history: Changes, when_ms: int) -> SessionId:
    """Return the session at Unix time `when_ms`, or None when there was none (or it is forgotten)."""
    return next((session for since, session in reversed(history) if since <= when_ms), None)


def put(pipe: AnyPipeline, keys: Keys, display: str, history: Changes) -> None:
    """Queue: store a display's sessions."""
    pipe.hset(keys.sessions, display, orjson.dumps(history))
    changed(pipe, keys)


def remove(pipe: AnyPipeline, keys: Keys, displays: list[str]) -> None:
    """Queue: forget the sessions of `displays`."""
    pipe.hdel(keys.sessions, *displays)


def queue_read(pipe: AnyPipeline, keys: Keys) -> None:
    """Queue the read that `decode_read` understands."""
    pipe.hgetall(keys.sessions)


def decode_read(records: Mapping[bytes, bytes]) -> dict[str, Changes]:
    """Return display -> its sessions, oldest first."""
    return {display.decode(): tuple(map(tuple, orjson.loads(raw))) for display, raw in records.items()}
