"""How a scan hands over to the relay, whatever the relay does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from contract import clients, cursors, subscriptions
from contract.keys import Keys
from contract.subscriptions import Source, Subscription
from tests.integration.worker_api.gateways import add_result, now
from tests.servers import RedisServer
from worker_api import relay as relays
from worker_api.changes import State
from worker_api.counters import Counters
from worker_api.cursors import Cursors
from worker_api.hub import Hub
from worker_api.late import Late
from worker_api.outbox import Outbox
from worker_api.relay import Relay
from worker_api.replay import Replay

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


class Desk:
    """What a gateway makes of one subscription, step by step."""

    def __init__(self, server: RedisServer, keys: Keys) -> None:
        self.counters = Counters()
        self.client = clients.connect_async(server.url, "test")
        late = Late(self.counters, after_s=1e6, mode="patch")
        self.hub = Hub(self.counters, "always", late)
        self.outbox = Outbox(self.counters, late)
        self.relay = Relay(self.client, keys, self.hub, self.counters)
        noted = Cursors(self.client, keys, self.hub)
        self.replay = Replay(self.client, keys, self.hub, noted, self.counters)
        self.hub.join(ONE.owner, self.outbox)

    def between(self, act: Callable[[], Any]) -> None:
        """Do `act` once, after the scan's next read and before it can do anything with it."""
        read = self.client.xrange

        async def xrange(*args: Any, **options: Any) -> Any:
            self.client.xrange = read  # type: ignore[method-assign]
            chunk = await read(*args, **options)
            await act()
            return chunk

        self.client.xrange = xrange  # type: ignore[method-assign]

    def got(self) -> list[int]:
        """Return what was sent."""
        return [json.loads(body)["captured"] for body in iter(self.outbox.pop, None)]


@pytest.fixture
def subscribed(redis: Redis, keys: Keys) -> None:
    """`ONE` is wanted, and nothing of it was delivered."""
    pipe = redis.pipeline()
    subscriptions.put(pipe, keys, ONE)
    cursors.begin(pipe, keys, ONE, 0)
    pipe.execute()


@pytest.mark.usefixtures("subscribed")
def test_what_the_relay_reads_while_a_scan_ends_is_neither_lost_nor_sent_twice(
    server: RedisServer, redis: Redis, keys: Keys
) -> None:
    begun = now()

    async def story() -> list[int]:
        desk = Desk(server, keys)

        async def relay_is_ahead() -> None:
            add_result(redis, keys, ONE.id, begun + 1)
            await desk.relay.step()

        add_result(redis, keys, "other;c", begun)
        add_result(redis, keys, ONE.id, begun)
        await desk.relay._seek()
        desk.hub.rewire(State(1, {ONE.id: ONE}))
        await desk.replay.step()
        desk.between(relay_is_ahead)
        await desk.replay.far.step()
        add_result(redis, keys, ONE.id, begun + 2)
        await desk.relay.step()
        await desk.client.aclose()
        return desk.got()

    assert asyncio.run(story()) == [begun, begun + 1, begun + 2]


@pytest.mark.usefixtures("subscribed")
def test_a_scan_whose_stream_begins_anew_begins_anew_too(server: RedisServer, redis: Redis, keys: Keys) -> None:
    begun = now()

    async def story() -> list[int]:
        desk = Desk(server, keys)

        async def server_forgets() -> None:
            redis.delete(keys.detections)
            add_result(redis, keys, ONE.id, begun + 1)
            desk.relay._sought = False
            await desk.relay.step()

        add_result(redis, keys, "other;c", begun, entry_id="9999999999999-0")
        await desk.relay._seek()
        desk.hub.rewire(State(1, {ONE.id: ONE}))
        await desk.replay.step()
        desk.between(server_forgets)
        await desk.replay.far.step()
        await desk.replay.far.step()
        await desk.client.aclose()
        lost, *rest = [json.loads(body) for body in iter(desk.outbox.pop, None)]
        assert lost["code"] == "results_lost"
        return [message["captured"] for message in rest]

    assert asyncio.run(story()) == [begun + 1]


@pytest.mark.usefixtures("subscribed")
def test_where_nothing_happens_the_relay_still_knows_how_far_it_is_and_so_does_a_scan(
    server: RedisServer, redis: Redis, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relays, "_BLOCK_MS", 10)
    add_result(redis, keys, "other;c", now(), entry_id="5-0")

    async def story() -> int:
        desk = Desk(server, keys)
        for _ in range(3):
            await desk.relay.step()
        desk.hub.rewire(State(1, {ONE.id: ONE}))
        await desk.replay.step()
        await asyncio.wait_for(desk.replay.far.step(), 5)
        await desk.client.aclose()
        assert desk.hub.next is not None
        return desk.hub.next[0]

    seconds, _ = redis.time()
    assert asyncio.run(story()) >= seconds * 1000
