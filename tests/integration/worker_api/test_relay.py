"""What the relay reads after its server was away."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import clients
from contract.keys import Keys
from contract.subscriptions import Source, Subscription
from tests.integration.worker_api.gateways import add_result
from tests.servers import RedisServer
from worker_api.changes import State
from worker_api.counters import Counters
from worker_api.hub import Hub
from worker_api.outage import AWAY
from worker_api.outbox import Outbox
from worker_api.relay import Relay

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
    owner="gateway-a/1",
)
#: An entry id of a server whose clock runs ahead.
FUTURE = "9999999999999-0"


@pytest.fixture
def lasting() -> Iterator[RedisServer]:
    """A server that writes down all that it is told."""
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        running = RedisServer(Path(home), "--appendonly", "yes", "--appendfsync", "always")
        running.start()
        yield running
        running.stop()


class Desk:
    """A relay and the outbox that its results end in."""

    def __init__(self, server: RedisServer, keys: Keys) -> None:
        self._server = server
        self._keys = keys
        counters = Counters()
        self._outbox = Outbox(counters)
        hub = Hub(counters, "always")
        hub.join(ONE.owner, self._outbox)
        hub.rewire(State(1, {ONE.id: ONE}))
        self.redis = clients.connect_async(server.url, "test")
        self._relay = Relay(self.redis, keys, hub, counters)

    def add(self, captured_ms: int, entry_id: str = "*") -> None:
        """Append a result."""
        with clients.connect(self._server.url, "test") as redis:
            add_result(redis, self._keys, ONE.id, captured_ms, entry_id=entry_id)

    async def step(self) -> int:
        """Let the relay take one step; return how many messages are new."""
        with contextlib.suppress(*AWAY):
            await self._relay.step()
        return sum(1 for _ in iter(self._outbox.pop, None))


def test_it_begins_at_the_end_and_follows(lasting: RedisServer, keys: Keys) -> None:
    async def story() -> list[int]:
        desk = Desk(lasting, keys)
        desk.add(1)
        got = [await desk.step()]
        desk.add(2)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [0, 1]


def test_what_was_added_while_it_could_not_read_follows(lasting: RedisServer, keys: Keys) -> None:
    async def story() -> list[int]:
        desk = Desk(lasting, keys)
        desk.add(1, entry_id="1-1")
        got = [await desk.step()]
        lasting.kill()
        got.append(await desk.step())
        lasting.start()
        desk.add(2)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [0, 0, 1]


def test_a_stream_that_begins_anew_is_followed_from_its_beginning(mortal: RedisServer, keys: Keys) -> None:
    async def story() -> list[int]:
        desk = Desk(mortal, keys)
        got = [await desk.step()]
        desk.add(1, entry_id=FUTURE)
        got.append(await desk.step())
        mortal.kill()
        got.append(await desk.step())
        mortal.start()
        got.append(await desk.step())
        desk.add(2)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [0, 1, 0, 0, 1]
