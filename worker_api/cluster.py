"""What the cluster looks like from here: who lives, how busy they are, which cameras have fresh frames."""

from __future__ import annotations

import logging
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from redis.asyncio import Redis

from contract import nodes
from contract.errors import RecordInvalid
from contract.keys import Cam, Keys
from contract.nodes import Node, Pulse
from contract.subscriptions import Subscription

log = logging.getLogger(__name__)

#: How often the view is renewed. With the heartbeat's 2 s it bounds how late `online` can be.
VIEW_S = 1.0
#: A view that could not be renewed for this long says nothing about cameras any more.
_STALE_S = 4.0
#: A process that has not progressed for this long although there is work stands still.
_STALLED_MS = 30_000


@dataclass(frozen=True, slots=True)
class View:
    """One look at the cluster.

    Attributes:
        at_s: when, on the monotonic clock.
        online: the cameras that have a fresh frame.
    """

    at_s: float = float("-inf")
    living: Sequence[Node] = ()
    online: Collection[Cam] = field(default_factory=frozenset)

    def fresh(self, now_s: float) -> bool:
        """Return whether this can still be relied on."""
        return now_s - self.at_s < _STALE_S


def busiest(living: Sequence[Node], gateway: Node) -> Node:
    """Return whose usages a CMS is told: the worker with the highest GPU usage, else CPU usage, else this gateway."""
    workers = [node for node in living if node.role == "worker"]
    with_gpu = [node for node in workers if node.gpu is not None]
    if with_gpu:
        return max(with_gpu, key=lambda node: node.gpu or 0.0)
    return max(workers, key=lambda node: node.cpu, default=gateway)


def not_ready(view: View, now_s: float, wanted: Collection[Subscription]) -> str | None:
    """Return why no detections can be expected from this cluster, or None when they can."""
    if not view.fresh(now_s):
        return "the Redis servers cannot be reached"
    busy = {"capture": bool(wanted), "worker": bool(view.online)}
    for role, has_work in busy.items():
        members = [node for node in view.living if node.role == role]
        if not members:
            return f"no {role} process is alive"
        if has_work and all(node.sign_ms - node.progress_ms > _STALLED_MS for node in members):
            return f"no {role} process has made progress for {_STALLED_MS // 1000} s"
    return None


class Cluster:
    """Renews the view and gives this gateway's own signs of life."""

    def __init__(self, state: Redis, frames: Redis, keys: Keys) -> None:
        self.view = View()
        self._pulse = Pulse("gateway")
        self.id = self._pulse.id
        self.own = self._pulse.sign()
        self._state = state
        self._frames = frames
        self._keys = keys
        self._steady_since_s = time.monotonic()

    @property
    def gateways(self) -> set[str] | None:
        """The gateways that live; None until all of them had the time to say so since we, or the server, began."""
        now_s = time.monotonic()
        if not self.view.fresh(now_s) or now_s - self._steady_since_s < nodes.ALIVE_MS / 1000:
            return None
        return {node.id for node in self.view.living if node.role == "gateway"}

    async def look(self, cams: Sequence[Cam]) -> None:
        """Renew the view; `cams` are those to be looked after."""
        if not self.view.fresh(time.monotonic()):
            self._steady_since_s = time.monotonic()
        pipe = self._state.pipeline(transaction=False)
        nodes.queue_ids(pipe, self._keys)
        _, ids = await pipe.execute()
        signs = self._state.pipeline(transaction=False)
        nodes.queue_signs(signs, self._keys, ids)
        living = self._living(await signs.execute()) if ids else []
        fresh = self._frames.pipeline(transaction=False)
        fresh.ping()
        for cam in cams:
            fresh.exists(self._keys.frame(cam))
        _, *there = await fresh.execute()
        online = frozenset(cam for cam, exists in zip(cams, there, strict=True) if exists)
        self.view = View(time.monotonic(), living, online)

    def _living(self, signs: Sequence[bytes | None]) -> list[Node]:
        living: list[Node] = []
        for sign in signs:
            try:
                living += nodes.decode(self._keys, [sign])
            except RecordInvalid as exc:  # Of another version, perhaps: no reason to see nobody.
                log.debug("a process is left out: %s", exc)
        return living

    async def sign(self, *, connections: int, relayed: int) -> None:
        """Say that this gateway lives."""
        self._pulse.progress()
        self.own = self._pulse.sign(connections=connections, relayed=relayed)
        pipe = self._state.pipeline(transaction=True)
        nodes.put(pipe, self._keys, self.own)
        await pipe.execute()

    async def say_goodbye(self) -> None:
        """Say that this gateway ends in good order."""
        pipe = self._state.pipeline(transaction=True)
        nodes.remove(pipe, self._keys, self.id)
        await pipe.execute()
