"""What one gateway relays: 200 connections x 5 subscriptions x 10 detections/s, and one reader that stalls among 100.

`python -m benchmarks.relay` prints the tables. Entries go straight into the stream, as a worker's turn would put them.
Servers and gateway are processes of their own; so is the load, whose clients read WebSocket frames by hand: a library
would cost more than the gateway. Ages are from the moment before an entry is sent to the server to its arrival.
"""

from __future__ import annotations

import asyncio
import base64
import json
import multiprocessing
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from redis.asyncio import Redis
from rich.console import Console
from rich.table import Table

from cli import embedded
from cli.processes import Child, Processes
from contract import clients
from contract.keys import Keys
from contract.settings import PREFIX, Settings

SUBSCRIPTIONS = 5
PER_SECOND = 10.0
SECONDS = 60.0
#: A reader that stalls for longer answers no pings for longer than a gateway bears.
STALLED_S = 15.0
#: Loads are put on in steps of this: a hundredth of a second's entries in one round trip.
_TICK_S = 0.01
_READY_S = 60.0
#: Of a detection with a dozen fields.
_PADDING = "x" * 300
_MARK = b'"sentNs":'


@dataclass(frozen=True)
class Load:
    """What the gateway was put under."""

    connections: int
    seconds: float
    stalled: int = 0
    per_second: float = PER_SECOND


@dataclass
class Outcome:
    """What arrived.

    Attributes:
        ages_ms: of every detection of a connection that reads.
        resident_mb: of the gateway, once a second.
    """

    sent: int = 0
    ages_ms: list[float] = field(default_factory=list)
    resident_mb: list[float] = field(default_factory=list)
    cpu: float = 0.0

    def percentile(self, q: float) -> float:
        """Return a percentile of the age, in ms."""
        return float(np.percentile(self.ages_ms, q)) if self.ages_ms else float("nan")

    @property
    def growth_mb(self) -> float:
        """How much the gateway's memory has grown from the first fifth of the time to the last."""
        part = max(1, len(self.resident_mb) // 5)
        return float(np.median(self.resident_mb[-part:]) - np.median(self.resident_mb[:part]))


class Client(asyncio.Protocol):
    """A CMS that subscribes and notes the ages of what it gets: as much of WebSocket as a well-behaved server needs."""

    def __init__(self, number: int, ages_ms: list[float]) -> None:
        self.number = number
        self.open = asyncio.get_running_loop().create_future()
        self._ages_ms = ages_ms
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            f"GET / HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._buffer += data
        if not self.open.done():
            head, separator, rest = bytes(self._buffer).partition(b"\r\n\r\n")
            if not separator:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._buffer = bytearray(rest)
            self.open.set_result(None)
            self._subscribe()
        self._frames()

    def stall(self) -> None:
        """Read no more."""
        assert self._transport is not None
        self._transport.pause_reading()

    def _subscribe(self) -> None:
        wishes = [
            {
                "subscriptionIdentifier": name,
                "rtspUrl": f"rtsp://127.0.0.1:1/{name}",
                "modelUrl": "http://127.0.0.1:1/m.mpta",
                "modelId": 1,
            }
            for name in names(self.number)
        ]
        self._send(0x1, json.dumps({"type": "setSubscriptions", "payload": {"subscriptions": wishes}}).encode())

    def _send(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")
        # A mask of zeros leaves the payload as it is.
        assert self._transport is not None
        self._transport.write(bytes([0x80 | opcode]) + length + b"\0\0\0\0" + payload)

    def _frames(self) -> None:
        buffer, at, now_ns = bytes(self._buffer), 0, time.time_ns()
        while len(buffer) - at >= 2:
            size, begin = buffer[at + 1], at + 2
            if size == 126:
                size, begin = int.from_bytes(buffer[at + 2 : at + 4], "big"), at + 4
            elif size == 127:
                size, begin = int.from_bytes(buffer[at + 2 : at + 10], "big"), at + 10
            if len(buffer) < begin + size or (begin > at + 2 and len(buffer) < begin):
                break
            opcode = buffer[at] & 0x0F
            if opcode == 0x1:
                mark = buffer.find(_MARK, begin, begin + size)
                if mark >= 0:
                    end = buffer.index(b"}", mark)
                    self._ages_ms.append((now_ns - int(buffer[mark + len(_MARK) : end])) / 1e6)
            elif opcode == 0x9:
                self._send(0xA, buffer[begin : begin + size])
            at = begin + size
        del self._buffer[:at]


def names(connection: int) -> list[str]:
    """Return the subscriptions of a connection."""
    return [f"d{connection};c{i}" for i in range(SUBSCRIPTIONS)]


async def put_load(load: Load, address: tuple[str, int], state: str, prefix: str, gateway: psutil.Process) -> Outcome:
    """Connect, subscribe, add entries at an even pace, and note what arrives."""
    outcome, loop, keys = Outcome(), asyncio.get_running_loop(), Keys(prefix)
    redis = clients.connect_async(state, "bench")
    connected: list[Client] = []
    for number in range(load.connections):
        ages_ms = outcome.ages_ms if number >= load.stalled else []
        _, client = await loop.create_connection(lambda n=number, a=ages_ms: Client(n, a), *address)  # type: ignore[misc]
        await client.open
        connected.append(client)
    await _subscribed(redis, keys, load.connections * SUBSCRIPTIONS)
    for client in connected[: load.stalled]:
        client.stall()
    subscriptions = [name for number in range(load.connections) for name in names(number)]
    await _produce(load, redis, keys, subscriptions, Outcome(), gateway, seconds=3.0)  # Warm.
    outcome.ages_ms.clear()
    before, began = sum(gateway.cpu_times()[:2]), time.monotonic()
    await _produce(load, redis, keys, subscriptions, outcome, gateway, seconds=load.seconds)
    outcome.cpu = 100 * (sum(gateway.cpu_times()[:2]) - before) / (time.monotonic() - began)
    await asyncio.sleep(1.0)
    await redis.aclose()
    return outcome


async def _subscribed(redis: Redis, keys: Keys, count: int) -> None:
    deadline = time.monotonic() + _READY_S
    while await redis.hlen(keys.subscriptions) < count:
        assert time.monotonic() < deadline, "the gateway does not take all subscriptions"
        await asyncio.sleep(0.05)
    await asyncio.sleep(1.0)  # And they have been placed.


async def _produce(
    load: Load,
    redis: Redis,
    keys: Keys,
    subscriptions: list[str],
    outcome: Outcome,
    gateway: psutil.Process,
    *,
    seconds: float,
) -> None:
    began, looked, at = time.monotonic(), 0.0, 0
    rate = len(subscriptions) * load.per_second
    while (now := time.monotonic() - began) < seconds:
        if now >= looked:
            looked += 1.0
            outcome.resident_mb.append(gateway.memory_info().rss / 1e6)
        due = int(now * rate)
        pipe = redis.pipeline(transaction=False)
        captured_ms = time.time_ns() // 1_000_000
        for at in range(outcome.sent, due):
            name = subscriptions[at % len(subscriptions)]
            body = (
                f'{{"type":"imageDetection","subscriptionIdentifier":"{name}","timestamp":"2026-01-01T00:00:00.000Z",'
                f'"data":{{"detection":{{"class":"car","text":"{_PADDING}"}}}},"sentNs":{time.time_ns()}}}'
            )
            pipe.xadd(keys.detections, {"s": name, "c": captured_ms, "n": 0, "b": body})
        outcome.sent = max(outcome.sent, due)
        if len(pipe):
            pipe.xtrim(keys.detections, minid=captured_ms - 20_000, approximate=True)
            await pipe.execute()
        await asyncio.sleep(max(0.0, _TICK_S - (time.monotonic() - began - now)))


def _in_process(pipe: Connection, load: Load, address: tuple[str, int], state: str, prefix: str, pid: int) -> None:
    pipe.send(asyncio.run(put_load(load, address, state, prefix, psutil.Process(pid))))


@contextmanager
def gateway_running() -> Iterator[tuple[Settings, int]]:
    """Start a server and a gateway; hand over where they are, and the gateway's process."""
    processes = Processes()
    with TemporaryDirectory(prefix="detector-bench-") as folder, (Path(folder) / "log").open("wb") as log:
        server = embedded.state(Path(folder), durable=False)
        os.environ |= {
            f"{PREFIX}STATE_URL": server.url,
            f"{PREFIX}PORT": str(embedded.free_port()),
            f"{PREFIX}DATA_DIR": folder,
        }
        try:
            processes.start(Child("state", server.command, {}, server.configuration(), log))
            server.wait()
            gateway = Child("gateway", [sys.executable, "-m", "worker_api"], output=log)
            processes.start(gateway)
            assert gateway.process is not None
            settings = Settings()
            _wait_for(settings.host, settings.port)
            yield settings, gateway.process.pid
        finally:
            processes.stop()


def _wait_for(host: str, port: int) -> None:
    deadline = time.monotonic() + _READY_S
    while True:
        try:
            socket.create_connection((host, port), 1.0).close()
            return
        except OSError:
            assert time.monotonic() < deadline, "the gateway does not listen"
            time.sleep(0.1)


def run(load: Load) -> Outcome:
    """Put `load` on a fresh gateway."""
    with gateway_running() as (settings, pid):
        here, there = multiprocessing.Pipe()
        address = (settings.host, settings.port)
        args = (there, load, address, settings.state, settings.key_prefix, pid)
        process = multiprocessing.get_context("spawn").Process(target=_in_process, args=args)
        process.start()
        there.close()
        outcome: Outcome = here.recv()
        process.join()
    return outcome


def main(seconds: float = SECONDS) -> int:
    """Measure and print; return how many promises were broken."""
    console = Console()
    table = Table(
        "connections", "stalled", "sent/s", "arrived", "p50 ms", "p99 ms", "gateway CPU", "RSS MB", "growth MB"
    )
    brief = min(seconds, STALLED_S)
    loads = (Load(200, seconds), Load(100, brief), Load(100, brief, stalled=1))
    outcomes = [run(load) for load in loads]
    for load, outcome in zip(loads, outcomes, strict=True):
        expected = outcome.sent * (load.connections - load.stalled) / load.connections
        table.add_row(
            str(load.connections),
            str(load.stalled),
            f"{outcome.sent / load.seconds:.0f}",
            f"{len(outcome.ages_ms) / expected:.2%}",
            f"{outcome.percentile(50):.1f}",
            f"{outcome.percentile(99):.1f}",
            f"{outcome.cpu:.0f} %",
            f"{outcome.resident_mb[-1]:.0f}",
            f"{outcome.growth_mb:+.1f}",
        )
    console.print(table)
    whole, free, beside = outcomes
    broken = [whole.percentile(99) > 50.0, beside.percentile(99) > 1.1 * free.percentile(99)]
    console.print(f"p99 beside a stalled reader: {beside.percentile(99) / free.percentile(99) - 1:+.0%}")
    return sum(broken)


if __name__ == "__main__":
    sys.exit(main(*map(float, sys.argv[1:2])))
