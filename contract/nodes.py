"""Signs of life and progress, from every process to gateways, the command line and health checks.

    node:{id}  STRING  JSON of `Node`            expires after `ALIVE_MS`
    nodes      ZSET    id -> Unix ms of its last sign; the dead are dropped by whoever reads

`progress_ms` is when the process last did something useful, not when it last said so.
"""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

import orjson
import psutil

from contract.clients import AnyPipeline
from contract.errors import RecordInvalid
from contract.keys import Keys

#: Every process gives a sign this often.
SIGN_S = 2.0
ALIVE_MS = 10_000

Role = Literal["capture", "worker", "gateway"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One process's last sign.

    Attributes:
        cpu, memory: percent of the host. gpu, gpu_memory: percent of the device, None without one.
        sign_ms: Unix ms of this sign. progress_ms: Unix ms of the last useful work.
        facts: what the role has to say: cameras, pipelines, frames per second, …
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
    facts: dict[str, Any] = field(default_factory=dict)


def new_id(role: Role) -> str:
    """Return a name that no other process has, now or after a restart."""
    return f"{role}-{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Pulse:
    """Makes one process's signs."""

    def __init__(self, role: Role) -> None:
        self.id = new_id(role)
        self._role: Role = role
        self._started_ms = self.progress_ms = now_ms()

    def progress(self) -> None:
        """Note that something useful was done just now."""
        self.progress_ms = now_ms()

    def sign(self, *, gpu: float | None = None, gpu_memory: float | None = None, **facts: Any) -> Node:
        """Return this process's sign of now."""
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
            facts=facts,
        )


def now_ms() -> int:
    """Return Unix time in ms."""
    return time.time_ns() // 1_000_000


def put(pipe: AnyPipeline, keys: Keys, node: Node) -> None:
    """Queue: replace a process's last sign."""
    pipe.set(keys.node(node.id), orjson.dumps(asdict(node)), px=ALIVE_MS)
    pipe.zadd(keys.nodes, {node.id: node.sign_ms})


def remove(pipe: AnyPipeline, keys: Keys, node_id: str) -> None:
    """Queue: a process ends in good order."""
    pipe.delete(keys.node(node_id))
    pipe.zrem(keys.nodes, node_id)


def queue_ids(pipe: AnyPipeline, keys: Keys) -> None:
    """Queue: drop the long dead, then list who may be alive (the second reply)."""
    pipe.zremrangebyscore(keys.nodes, "-inf", now_ms() - 10 * ALIVE_MS)
    pipe.zrange(keys.nodes, 0, -1)


def queue_signs(pipe: AnyPipeline, keys: Keys, ids: Sequence[bytes]) -> None:
    """Queue the read of the signs of `ids` (one reply each)."""
    for node_id in ids:
        pipe.get(keys.node(node_id.decode()))


def decode(keys: Keys, signs: Sequence[bytes | None]) -> list[Node]:
    """Return the living among what `queue_signs` read.

    Raises:
        RecordInvalid: a sign cannot be read.
    """
    try:
        return [Node(**orjson.loads(sign)) for sign in signs if sign is not None]
    except (TypeError, orjson.JSONDecodeError) as exc:
        raise RecordInvalid(keys.nodes, f"a sign cannot be read ({exc})") from exc
