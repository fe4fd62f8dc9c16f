"""This gateway's mirror of subscriptions and sessions, and the one way to change them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import WatchError

from contract import sessions, subscriptions
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.sessions import Changes
from contract.subscriptions import Subscription
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
    """

    def __init__(self, redis: Redis, keys: Keys, *, limit: int, hub: Hub) -> None:
        self.state = State()
        self._redis = redis
        self._keys = keys
        self._limit = limit
        self._hub = hub
        self._lock = asyncio.Lock()
        self._decoded: dict[bytes, Subscription] = {}
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
                await pipe.watch(self._keys.version)
                now_ms = await self._refresh()
                draft = Draft(self.state, now_ms, self._limit)
                answers = [change.apply(draft) for change in changes]
                pipe.multi()  # type: ignore[no-untyped-call]
                if not draft.queue(pipe, self._keys):
                    return answers
                pipe.get(self._keys.version)
                try:
                    version = (await pipe.execute())[-1]
                except WatchError:
                    continue  # Another gateway was faster: decide again on what it left.
            self._credentials |= draft.credentials
            self._become(State(int(version), draft.subscriptions, draft.sessions))
            return answers

    async def _refresh(self) -> int:
        """Read what is stored if it has moved; return the server's clock in ms."""
        pipe = self._redis.pipeline(transaction=False)
        pipe.get(self._keys.version)
        pipe.time()
        version, (seconds, micros) = await pipe.execute()
        if self._lost is None and _is_loss(self.state.version, int(version or 0)):
            self._lost = self.state
        if int(version or 0) != self.state.version:
            self._become(await self._read())
        return int(seconds) * 1000 + int(micros) // 1000

    async def _read(self) -> State:
        pipe = self._redis.pipeline(transaction=True)
        subscriptions.queue_read(pipe, self._keys)
        sessions.queue_read(pipe, self._keys)
        version, records, histories = cast("tuple[bytes | None, Mapping[bytes, bytes], Any]", await pipe.execute())
        self._decoded = {raw: s for raw in records.values() if (s := self._decode(raw))}
        return State(int(version or 0), {s.id: s for s in self._decoded.values()}, self._histories(histories))

    def _decode(self, raw: bytes) -> Subscription | None:
        try:
            return self._decoded.get(raw) or subscriptions.decode(self._keys.subscriptions, raw)
        except RecordInvalid as exc:
            log.warning("a subscription is left out: %s", exc)
            return None

    def _histories(self, records: Mapping[bytes, bytes]) -> dict[str, Changes]:
        histories: dict[str, Changes] = {}
        for display, raw in records.items():
            try:
                histories |= sessions.decode_read({display: raw})
            except (ValueError, TypeError) as exc:
                log.warning("the sessions of a display are left out: %s", RecordInvalid(self._keys.sessions, str(exc)))
        return histories

    def _become(self, state: State) -> None:
        self.state = state
        if self._lost is None:
            self._credentials = {i: c for i, c in self._credentials.items() if c and i in state.subscriptions}
        self._hub.rewire(state)


def _is_loss(known: int, version: int) -> bool:
    """Return whether the server has forgotten what it held at `known`: all of it, or what it had not yet written."""
    return known > 0 and (version < known or subscriptions.epoch(version) != subscriptions.epoch(known))
