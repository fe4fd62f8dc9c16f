"""This gateway's mirror of subscriptions and sessions, and the one way to change them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import WatchError

from contract import nodes, sessions, subscriptions
from contract.keys import Keys
from worker_api.changes import Change, Draft, State
from worker_api.hub import Hub
from worker_api.outage import obey_cancellation
from worker_api.owners import Restore

log = logging.getLogger(__name__)

#: How soon a gateway sees what another one changed.
POLL_S = 0.2


class Registry:
    """Follows the stored state and changes it in optimistic transactions (WATCH on the version).

    Attributes:
        state: as of the last poll or own change, whichever was later; the hub is rewired with every new one.
        ahead_ms: how much the server's clock was ahead of ours when it was last asked.
    """

    def __init__(self, redis: Redis, keys: Keys, *, limit: int, kept_ms: int, hub: Hub) -> None:
        self.state = State()
        self.ahead_ms = 0
        self._redis = redis
        self._keys = keys
        self._limit = limit
        self._kept_ms = kept_ms
        self._hub = hub
        self._lock = asyncio.Lock()
        self._credentials: dict[str, str] = {}
        self._lost: State | None = None

    async def poll(self) -> None:
        """Bring the mirror up to date, if the version has moved."""
        async with self._lock:
            await self._refresh()
        if self._lost is not None:
            log.warning("the state server came back without what it held; storing again what our connections want")
            await self.apply([Restore(self._lost, frozenset(self._hub.connected), dict(self._credentials))])
            self._lost = None

    async def apply(self, changes: Sequence[Change]) -> list[str | None]:
        """Apply `changes` in order, in one transaction; return what each is answered with."""
        async with self._lock:
            answers = await self._decide(changes)
        obey_cancellation()
        return answers

    async def _decide(self, changes: Sequence[Change]) -> list[str | None]:
        while True:
            async with self._redis.pipeline(transaction=True) as pipe:
                await pipe.watch(self._keys.version, self._keys.sessions_version)
                now_ms = await self._refresh()
                draft = Draft(self.state, now_ms, self._limit, self._kept_ms)
                answers = [change.apply(draft) for change in changes]
                pipe.multi()  # type: ignore[no-untyped-call]
                if not draft.queue(pipe, self._keys):
                    return answers
                pipe.get(self._keys.version)
                pipe.get(self._keys.sessions_version)
                try:
                    version, sessions_version = (await pipe.execute())[-2:]
                except WatchError:
                    continue  # Another gateway was faster: decide again on what it left.
            self._credentials |= draft.credentials
            self._become(State(int(version or 0), draft.subscriptions, draft.sessions, int(sessions_version or 0)))
            return answers

    async def _refresh(self) -> int:
        """Read what is stored if it has moved; return the server's clock in ms."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(self._keys.version)
        pipe.get(self._keys.sessions_version)
        pipe.time()
        *stored, (seconds, micros) = await pipe.execute()
        versions = [int(version or 0) for version in stored]
        known = [self.state.version, self.state.sessions_version]
        if self._lost is None and any(map(_is_loss, known, versions)):
            self._lost = self.state
        if versions != known:
            self._become(await self._read())
        now_ms = int(seconds) * 1000 + int(micros) // 1000
        self.ahead_ms = now_ms - nodes.now_ms()
        return now_ms

    async def _read(self) -> State:
        pipe = self._redis.pipeline(transaction=True)
        subscriptions.queue_read(pipe, self._keys)
        sessions.queue_read(pipe, self._keys)
        version, records, sessions_version, histories = cast("tuple[Any, ...]", await pipe.execute())
        wanted = subscriptions.decode_read(self._keys, version, records)
        bound = sessions.decode_all(self._keys, histories)
        return State(wanted.version, wanted.subscriptions, bound, int(sessions_version or 0))

    def _become(self, state: State) -> None:
        rewired = state.version != self.state.version
        self.state = state
        if self._lost is None:
            self._credentials = {i: c for i, c in self._credentials.items() if c and i in state.subscriptions}
        if rewired:
            self._hub.rewire(state)


def _is_loss(known: int, version: int) -> bool:
    """Return whether the server has forgotten what it held at `known`: all of it, or what it had not yet written."""
    return known > 0 and (version < known or subscriptions.epoch(version) != subscriptions.epoch(known))
