"""One gateway process: its servers, its mirror, its connections, and the loops that keep them true."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable, Coroutine, Iterator

from contract import clients, frames, nodes
from contract.frames import Frame
from contract.keys import Keys
from contract.results import EntryId
from contract.settings import Settings
from worker_api.cluster import VIEW_S, Cluster, busiest, not_ready
from worker_api.counters import Counters
from worker_api.cursors import FLUSH_S, Cursors
from worker_api.displays import Unused
from worker_api.hub import Hub
from worker_api.late import Late
from worker_api.messages import NodeState
from worker_api.outage import AWAY, keep_doing
from worker_api.outbox import NO_DOUBT, Outbox
from worker_api.owners import Leave, Reap, owner_name
from worker_api.rates import RATES_S, Rates
from worker_api.registry import POLL_S, Registry
from worker_api.relay import Relay
from worker_api.replay import Replay
from worker_api.reports import node_states, state_report

_REAP_S = 1.0
#: What an entry may take from the stream to a socket, and a clock be off by.
_DOUBT_MS = 200
#: Saying goodbye must not hold up the end.
_GOODBYE_S = 1.5


class Gateway:
    """What all connections of this process share."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.counters = Counters()
        self.closing = False
        self._keys = Keys(settings.key_prefix)
        self._state = clients.connect_async(settings.state, "gateway")
        self._frames = clients.connect_async(settings.frames, "gateway")
        self._late = Late(
            self.counters, after_s=settings.patch_after_seconds, mode=settings.replay, clock=self._server_ms
        )
        self.hub = Hub(self.counters, settings.empty_detections, self._late)
        self.cluster = Cluster(self._state, self._frames, self._keys)
        self.registry = Registry(
            self._state,
            self._keys,
            limit=settings.max_streams,
            kept_ms=settings.results_retention_ms,
            hub=self.hub,
        )
        self._relay = Relay(self._state, self._keys, self.hub, self.counters)
        self._cursors = Cursors(self._state, self._keys, self.hub)
        self._replay = Replay(self._state, self._keys, self.hub, self._cursors, self.counters)
        self._rates = Rates(self._state, self._keys, self.hub, lambda: self.cluster.view)
        self._told_view, self._told_nodes = self.cluster.view, list[NodeState]()
        self._unused = Unused()
        self._numbers = itertools.count(1)

    def loops(self) -> dict[str, Coroutine[None, None, None]]:
        """Return everything that must run as long as the process does, by name."""
        return {
            "relay": keep_doing(self._relay.step, "relay"),
            "replay": keep_doing(self._replay.step, "replay"),
            "near scan": keep_doing(self._replay.near.step, "near scan"),
            "far scan": keep_doing(self._replay.far.step, "far scan"),
            "cursors": keep_doing(self._cursors.flush, "cursors", FLUSH_S),
            "mirror": keep_doing(self.registry.poll, "mirror", POLL_S),
            "view": keep_doing(self._look, "view", VIEW_S),
            "rates": keep_doing(self._rates.step, "rates", RATES_S),
            "sign": keep_doing(self._sign, "sign", nodes.SIGN_S),
            "reaper": keep_doing(self._reap, "reaper", _REAP_S),
        }

    def outbox(self, in_doubt_s: Callable[[], float]) -> Outbox:
        """Return what a new connection is sent from; `in_doubt_s`: for how long nothing has proven that it arrives."""

        def doubted_from() -> EntryId:
            doubt_s = in_doubt_s()
            return (self._server_ms() - int(doubt_s * 1000) - _DOUBT_MS, 0) if doubt_s else NO_DOUBT

        return Outbox(self.counters, self._late, doubted_from)

    @contextlib.contextmanager
    def joined(self, outbox: Outbox) -> Iterator[str]:
        """Be connected for as long as the context lasts; gives the name under which subscriptions are owned."""
        owner = owner_name(self.cluster.id, next(self._numbers))
        self.hub.join(owner, outbox)
        try:
            yield owner
        finally:
            self.hub.leave(owner)

    async def leave(self, owner: str) -> None:
        """Begin the grace of what a connection that is gone has owned. If that fails, the reaper does it."""
        with contextlib.suppress(*AWAY, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._cursors.flush()
                await self.registry.apply([Leave(owner)])

    def report(self, owner: str) -> str:
        """Return the `stateReport` of a connection."""
        view = self.cluster.view
        if self._told_view is not view:  # What all connections are told is made once.
            self._told_view, self._told_nodes = view, node_states(view)
        node = busiest(view.living, self.cluster.own)
        return state_report(node, view, time.monotonic(), self.hub.owned(owner), self._told_nodes).text()

    def not_ready(self) -> str | None:
        """Return why no detections can be expected, or None when they can."""
        return not_ready(self.cluster.view, time.monotonic(), self.registry.state.subscriptions.values())

    async def newest_frame(self, subscription_id: str) -> Frame | None:
        """Return the newest full frame of a subscription's camera; None: no such subscription, or nothing fresh."""
        subscription = self.registry.state.subscriptions.get(subscription_id)
        if subscription is None:
            return None
        cam = subscription.source.cam
        pipe = self._frames.pipeline(transaction=False)
        frames.queue_get(pipe, self._keys, cam)
        (raw,) = await pipe.execute()
        return frames.decode(self._keys, cam, raw)

    async def close(self, within_s: float) -> None:
        """Let every connection say goodbye, and take no new ones; who reads nothing is not waited for."""
        self.closing = True
        self.hub.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                while self.hub.connected:
                    await asyncio.sleep(0.02)

    async def end(self) -> None:
        """Give up this gateway's place in the cluster and its connections to the servers."""
        with contextlib.suppress(*AWAY, TimeoutError):
            async with asyncio.timeout(_GOODBYE_S):
                await self._cursors.flush()
                await self.cluster.say_goodbye()
        await self._state.aclose()
        await self._frames.aclose()

    def _server_ms(self) -> int:
        return nodes.now_ms() + self.registry.ahead_ms

    async def _look(self) -> None:
        cams = {s.source.cam for s in self.registry.state.subscriptions.values()}
        await self.cluster.look(sorted(cams))

    async def _sign(self) -> None:
        overloaded = {s.id: round(meter.overload.factor, 1) for s, meter in self.hub.metered() if meter.overload.factor}
        await self.cluster.sign(
            relayed=self.counters.relayed, connections=len(self.hub.connected), overloaded=overloaded
        )

    async def _reap(self) -> None:
        reap = Reap(
            gateway=self.cluster.id,
            connected=frozenset(self.hub.connected),
            alive=self.cluster.gateways,
            grace_ms=int(self.settings.subscription_grace_seconds * 1000),
            unused=self._unused.expired(self.registry.state, time.monotonic()),
        )
        await self.registry.apply([reap])
