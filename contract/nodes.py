"""Signs of life and progress, from every process to gateways, the command line and health checks.

    node:{id}  STRING  JSON of `Node`            expires after `ALIVE_MS`
    nodes      ZSET    id -> Unix ms of its last sign; whose sign has expired is dropped by whoever reads

`progress_ms` is when the process last did something useful, not when it last said so. Times in a sign are of the clock
of the process's host. How old a sign is, is the state server's to say: clocks that are apart hide nobody.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson
import psutil
from redis import Redis
from redis.asyncio import Redis as AsyncRedis

from contract.clients import AnyPipeline
from contract.keys import Keys, PipelineId
from contract.scripts import Script

log = logging.getLogger(__name__)

#: Every process gives a sign this often.
SIGN_S = 2.0
ALIVE_MS = 10_000
#: A process that has not progressed for this long although there is work stands still.
STALLED_S = 30.0
#: A clock that seems to be off by less is taken for right: a sign needs some time to the server.
SKEW_MS = 100

_READ = Script("nodes.lua")

Role = Literal["capture", "worker", "gateway"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process's last sign.

    Attributes:
        cpu, memory: percent of the host. gpu, gpu_memory: percent of the device, None without one.
        sign_ms: Unix ms of this sign. progress_ms: Unix ms of the last useful work.
        per_second: frames published (capture), frames inferred (worker), results relayed (gateway), since the sign
            before.
        facts: what the role has to say: cameras, pipelines, counts, …
        age_ms: how old the sign was when it was read. skew_ms: how far its host's clock was ahead of the state
            server's, 0 below `SKEW_MS`. Both are known to who reads, and not part of what is stored.
    """

    id: str
    role: Role
    host: str
    pid: int
    cpu: float
    memory: float
    gpu: float | None = None
    gpu_memory: float | None = None
    started_ms: int
    sign_ms: int
    progress_ms: int
    per_second: float = 0.0
    facts: dict[str, Any] = field(default_factory=dict)
    age_ms: int = 0
    skew_ms: int = 0

    @property
    def idle_s(self) -> float:
        """Seconds since the last useful work."""
        return (self.sign_ms - self.progress_ms + self.age_ms) / 1000


def new_id(role: Role) -> str:
    """Return a name that no other process has, now or after a restart."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Pulse:
    """Makes one process's signs."""

    def __init__(self, role: Role) -> None:
        self.id = new_id(role)
        self._role: Role = role
        self._started_ms = self.progress_ms = now_ms()
        self._done, self._signed_s = 0, time.monotonic()

    def progress(self) -> None:
        """Note that something useful was done just now."""
        self.progress_ms = now_ms()

    def sign(self, *, done: int = 0, gpu: float | None = None, gpu_memory: float | None = None, **facts: Any) -> Node:
        """Return this process's sign of now; `done` counts what `Node.per_second` is the rate of."""
        now_s = time.monotonic()
        per_second = max(0, done - self._done) / max(now_s - self._signed_s, 0.001)
        self._done, self._signed_s = done, now_s
        return Node(
            id=self.id,
            role=self._role,
            host=socket.gethostname(),
            pid=os.getpid(),
            cpu=psutil.cpu_percent(),
            memory=psutil.virtual_memory().percent,
            gpu=gpu,
            gpu_memory=gpu_memory,
            started_ms=self._started_ms,
            sign_ms=now_ms(),
            progress_ms=self.progress_ms,
            per_second=round(per_second, 1),
            facts=facts,
        )


def now_ms() -> int:
    """Return Unix time in ms."""
    return time.time_ns() // 1_000_000


def put(pipe: AnyPipeline, keys: Keys, node: Node) -> None:
    """Queue: replace a process's last sign."""
    sign = asdict(node)
    del sign["age_ms"], sign["skew_ms"]
    pipe.set(keys.node(node.id), orjson.dumps(sign), px=ALIVE_MS)
    pipe.zadd(keys.nodes, {node.id: node.sign_ms})


def remove(pipe: AnyPipeline, keys: Keys, node_id: str) -> None:
    """Queue: a process ends in good order."""
    pipe.delete(keys.node(node_id))
    pipe.zrem(keys.nodes, node_id)


def read(redis: Redis, keys: Keys) -> list[Node]:
    """Return every process that gave a sign within `ALIVE_MS`."""
    return _decode(_READ(redis, [keys.nodes], [keys.node("")]))


async def read_async(redis: AsyncRedis, keys: Keys) -> list[Node]:
    """Do the same for asyncio."""
    return _decode(await _READ.run(redis, [keys.nodes], [keys.node("")]))


def versions(living: Sequence[Node]) -> dict[PipelineId, str]:
    """Return the versions of the packages that workers hold: short digests, several while a new one comes."""
    found: defaultdict[PipelineId, set[str]] = defaultdict(set)
    for node in living:
        for pipeline, version in node.facts.get("versions", {}).items():
            found[PipelineId(pipeline)].add(str(version))
    return {pipeline: " ".join(sorted(several)) for pipeline, several in found.items()}


def _decode(reply: Sequence[Any]) -> list[Node]:
    """Return the living; a sign that cannot be read is left out: of another version, perhaps."""
    seconds, micros, *flat = reply
    server_ms = int(seconds) * 1000 + int(micros) // 1000
    living = []
    for sign, left_ms in zip(*[iter(flat)] * 2, strict=True):
        try:
            fields = {name: value for name, value in orjson.loads(sign).items() if name in Node.__slots__}
            age_ms = max(0, ALIVE_MS - left_ms)
            skew_ms = fields["sign_ms"] - (server_ms - age_ms)
            seen = {"age_ms": age_ms, "skew_ms": skew_ms if abs(skew_ms) >= SKEW_MS else 0}
            living.append(Node(**(fields | seen)))
        except (TypeError, KeyError, AttributeError, orjson.JSONDecodeError) as exc:
            log.debug("a process is left out, its sign cannot be read (%s)", exc)
    return living
