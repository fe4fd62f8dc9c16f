"""What the cluster looks like from here: who lives, how busy they are, which cameras have fresh frames."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from redis.asyncio import Redis

from contract import camera_states, frames, nodes
from contract.camera_states import CameraState
from contract.keys import Cam, Keys, PipelineId
from contract.nodes import Node, Pulse
from contract.subscriptions import Subscription

#: How often the view is renewed. With the heartbeat's 2 s it bounds how late `online` can be: below 3 s.
VIEW_S = 0.5
#: A view that could not be renewed for this long says nothing about cameras any more.
_STALE_S = 4.0


@dataclass(frozen=True, slots=True)
class View:
    """One look at the cluster.

    Attributes:
        at_s: when, on the monotonic clock.
        living: every process that gave a sign of late.
        online: the cameras that have a fresh frame, unless their daemon says that they are away.
        cameras: what daemons say of those that they hold.
        versions: of the packages that workers hold; several while a new one comes.
    """

    at_s: float = float("-inf")
    living: Sequence[Node] = ()
    online: Collection[Cam] = field(default_factory=frozenset)
    cameras: Mapping[Cam, CameraState] = field(default_factory=dict)
    versions: Mapping[PipelineId, str] = field(default_factory=dict)

    @classmethod
    def of(cls, at_s: float, living: Sequence[Node], fresh: Collection[Cam]) -> View:
        """Return the view of these processes and of the cameras that have a fresh frame."""
        cameras = camera_states.of(living)
        online = frozenset(cam for cam in fresh if cam not in cameras or not cameras[cam].is_away)
        return cls(at_s, living, online, cameras, nodes.versions(living))

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
        if has_work and all(node.idle_s > nodes.STALLED_S for node in members):
            return f"no {role} process has made progress for {nodes.STALLED_S:.0f} s"
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
        living = await nodes.read_async(self._state, self._keys)
        fresh = await frames.fresh_async(self._frames, self._keys, cams)
        self.view = View.of(time.monotonic(), living, fresh)

    async def sign(self, *, relayed: int, **facts: Any) -> None:
        """Say that this gateway lives."""
        self._pulse.progress()
        self.own = self._pulse.sign(done=relayed, relayed=relayed, **facts)
        pipe = self._state.pipeline(transaction=True)
        nodes.put(pipe, self._keys, self.own)
        await pipe.execute()

    async def say_goodbye(self) -> None:
        """Say that this gateway ends in good order."""
        pipe = self._state.pipeline(transaction=True)
        nodes.remove(pipe, self._keys, self.id)
        await pipe.execute()
