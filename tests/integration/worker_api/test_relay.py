"""What the relay reads after its server was away."""

from __future__ import annotations

import asyncio
import contextlib
import json
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
from worker_api.late import Late
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
        late = Late(counters, after_s=1e6, mode="patch")
        self._outbox = Outbox(counters, late)
        self._hub = Hub(counters, "always", late)
        self._hub.join(ONE.owner, self._outbox)
        self._hub.rewire(State(1, {ONE.id: ONE}))
        self.redis = clients.connect_async(server.url, "test")
        self._relay = Relay(self.redis, keys, self._hub, counters)

    async def arrive(self) -> None:
        """Let the subscription be up to the present."""
        for route in await self._hub.returned():
            route.begin((0, 0))
            self._hub.go_live(route, (0, 0))

    def add(self, captured_ms: int, entry_id: str = "*") -> None:
        """Append a result."""
        with clients.connect(self._server.url, "test") as redis:
            add_result(redis, self._keys, ONE.id, captured_ms, entry_id=entry_id)

    async def step(self) -> list[int | str]:
        """Let the relay take one step; return what is new: of detections what was captured, of errors the code."""
        with contextlib.suppress(*AWAY):
            await self._relay.step()
        messages = [json.loads(body) for body in iter(self._outbox.pop, None)]
        return [message.get("captured") or message["code"] for message in messages]


def test_it_begins_at_the_end_and_follows(lasting: RedisServer, keys: Keys) -> None:
    async def story() -> list[list[int | str]]:
        desk = Desk(lasting, keys)
        await desk.arrive()
        desk.add(1)
        got = [await desk.step()]
        desk.add(2)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [[], [2]]


def test_what_was_added_while_it_could_not_read_follows(lasting: RedisServer, keys: Keys) -> None:
    async def story() -> list[list[int | str]]:
        desk = Desk(lasting, keys)
        await desk.arrive()
        desk.add(1, entry_id="1-1")
        got = [await desk.step()]
        lasting.kill()
        got.append(await desk.step())
        lasting.start()
        desk.add(2)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [[], [], [2]]


def test_a_stream_that_begins_anew_is_followed_from_its_beginning_and_the_loss_is_told(
    mortal: RedisServer, keys: Keys
) -> None:
    async def story() -> list[list[int | str]]:
        desk = Desk(mortal, keys)
        await desk.arrive()
        got = [await desk.step()]
        desk.add(1, entry_id=FUTURE)
        got.append(await desk.step())
        mortal.kill()
        got.append(await desk.step())
        mortal.start()
        desk.add(2)
        got.append(await desk.step())
        desk.add(3)
        got.append(await desk.step())
        await desk.redis.aclose()
        return got

    assert asyncio.run(story()) == [[], [1], [], ["results_lost", 2], [3]]
