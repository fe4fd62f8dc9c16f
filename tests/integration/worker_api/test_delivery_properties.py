"""Whatever CMSs and gateways do: what is wanted is stored, each has one owner, nothing is lost, order is held."""

from __future__ import annotations

import contextlib
import itertools
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test
from redis import Redis
from websockets.exceptions import ConnectionClosed

from contract import sessions, subscriptions
from contract.keys import Keys
from contract.subscriptions import Subscription
from tests.integration.worker_api.gateways import Cms, Gateway, Message, add_result, now, stored, wish
from tests.servers import RedisServer, eventually

_EXAMPLES = itertools.count()
CROPS: tuple[Message, ...] = ({}, {"cropX1": 1, "cropY1": 2, "cropX2": 30, "cropY2": 40})
slots, names, crops = st.integers(0, 2), st.sampled_from(["d1;c1", "d1;c2", "d2;c1"]), st.sampled_from(CROPS)


class Cluster:
    """Two gateways on one server; one that is killed is started again."""

    def __init__(self, server: RedisServer, redis: Redis, keys: Keys) -> None:
        self._server = server
        self.redis = redis
        self.keys = keys
        self.gateways = [self._start(), self._start()]

    def _start(self) -> Gateway:
        # A grace that outlasts the test: its end has a test of its own.
        return Gateway(state_url=self._server.url, subscription_grace_seconds=600, max_messages_per_second=1000)

    def kill(self, number: int) -> None:
        """End a gateway at once, and start one in its place."""
        with self.gateways[number]:
            self.gateways[number].process.kill()
        self.gateways[number] = self._start()

    def stop(self) -> None:
        """End all."""
        for gateway in self.gateways:
            with gateway:
                pass


@pytest.fixture
def cluster(server: RedisServer, redis: Redis, keys: Keys) -> Iterator[Cluster]:
    running = Cluster(server, redis, keys)
    yield running
    running.stop()


@dataclass
class Client:
    """A CMS, and what the model knows of it."""

    gateway: int
    stack: contextlib.ExitStack
    cms: Cms
    owned: set[str] = field(default_factory=set)
    #: Messages with a greater number belong to the present ownership of a subscription.
    since: dict[str, int] = field(default_factory=dict)


@dataclass
class Life:
    """One subscription to one view: from a `subscribe` that makes or changes it to the next, or to its end."""

    crop: Message
    produced: list[int] = field(default_factory=list)
    received: set[int] = field(default_factory=set)


class Delivery(RuleBasedStateMachine):
    """The model: who is connected, who owns what, what was produced for it and what of that has come."""

    def __init__(self, cluster: Cluster) -> None:
        super().__init__()
        self._cluster = cluster
        self._prefix = f"e{next(_EXAMPLES)}"
        self._clients: dict[int, Client] = {}
        self._lives: dict[str, Life] = {}
        self._sessions: dict[str, int | None] = {}
        self._captured = itertools.count(now())

    # ------------------------------------------------------------ what may happen

    @rule(slot=slots, gateway=st.integers(0, 1))
    def connect(self, slot: int, gateway: int) -> None:
        if slot not in self._clients:
            stack = contextlib.ExitStack()
            cms = stack.enter_context(self._cluster.gateways[gateway].cms(max_queue=None))
            self._clients[slot] = Client(gateway, stack, cms)

    @rule(slot=slots, name=names, crop=crops)
    def subscribe(self, slot: int, name: str, crop: Message) -> None:
        if client := self._clients.get(slot):
            self._subscribe(client, self._prefix + name, crop)

    @rule(slot=slots, wanted=st.sets(names), crop=crops)
    def set(self, slot: int, wanted: set[str], crop: Message) -> None:
        if client := self._clients.get(slot):
            items = [wish(self._prefix + name, **crop) for name in wanted]
            for item in items:
                self._prepare(client, item["subscriptionIdentifier"], crop)
            client.cms.send({"type": "setSubscriptions", "payload": {"subscriptions": items}})
            answer = client.cms.expect("subscriptionsSet")["payload"]
            for name in answer["removed"]:
                self._lives.pop(name)
                client.owned.discard(name)
            for item in items:
                self._own(client, item["subscriptionIdentifier"])

    @rule(slot=slots, name=names)
    def unsubscribe(self, slot: int, name: str) -> None:
        if client := self._clients.get(slot):
            identifier = self._prefix + name
            client.cms.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": identifier}})
            eventually(lambda: self._find(identifier) is None)
            self._lives.pop(identifier, None)
            for each in self._clients.values():
                each.owned.discard(identifier)

    @rule(slot=slots, display=st.sampled_from(["d1", "d2"]), session=st.none() | st.integers(1, 3))
    def bind(self, slot: int, display: str, session: int | None) -> None:
        if client := self._clients.get(slot):
            payload = {"displayIdentifier": self._prefix + display, "sessionId": session}
            client.cms.send({"type": "setSessionId", "payload": payload})
            self._sessions[self._prefix + display] = session
            eventually(lambda: self._session(self._prefix + display) == session)

    @rule(count=st.integers(1, 20))
    def produce(self, count: int) -> None:
        for _ in range(count):
            for identifier, life in self._lives.items():
                life.produced.append(next(self._captured))
                add_result(self._cluster.redis, self._cluster.keys, identifier, life.produced[-1])

    @rule(slot=slots)
    def disconnect(self, slot: int) -> None:
        if client := self._clients.pop(slot, None):
            client.cms.socket.close()
            self._drain(client)

    @rule(number=st.integers(0, 1), luck=st.integers(0, 7))
    def kill(self, number: int, luck: int) -> None:
        if luck == 7:
            self._cluster.kill(number)
            for slot in [slot for slot, client in self._clients.items() if client.gateway == number]:
                self._drain(self._clients.pop(slot))

    # ------------------------------------------------------------ what must be true in the end

    def teardown(self) -> None:
        try:
            self._settle()
        finally:
            for client in self._clients.values():
                client.stack.close()
            for identifier in self._lives:
                with self._cluster.redis.pipeline() as pipe:
                    subscriptions.remove(pipe, self._cluster.keys, [identifier])
                    pipe.execute()

    def _settle(self) -> None:
        for slot in self._clients:
            self._is_reported(self._clients[slot])
        self.disconnect(2)
        self.connect(2, 0)
        for identifier, life in self._lives.items():
            if not any(identifier in client.owned for client in self._clients.values()):
                self._subscribe(self._clients[2], identifier, life.crop)
        assert {name for name in self._stored() if name.startswith(f"{self._prefix}d")} == set(self._lives)
        inferences = {each.group for name, each in self._stored().items() if name in self._lives}
        assert len(inferences) == len({str(life.crop) for life in self._lives.values()})
        assert {display: self._session(display) for display in self._sessions} == self._sessions
        for client in self._clients.values():
            self._is_reported(client)
        for identifier, life in self._lives.items():
            eventually(lambda i=identifier, w=life: self._has_all(i, w))  # type: ignore[misc]
        for client in self._clients.values():
            self._note(client)

    def _has_all(self, identifier: str, life: Life) -> bool:
        for client in self._clients.values():
            if identifier in client.owned:
                client.cms.settle()
                self._note(client)
        return life.received >= set(life.produced)

    def _is_reported(self, client: Client) -> None:
        def reported() -> set[str]:
            return {c["subscriptionIdentifier"] for c in client.cms.report()["cameraConnections"]}

        eventually(lambda: reported() == client.owned, every_s=0.05)

    # ------------------------------------------------------------ steps

    def _subscribe(self, client: Client, identifier: str, crop: Message) -> None:
        revision = self._revision(identifier)
        self._prepare(client, identifier, crop)
        client.cms.subscribe(identifier, **crop)
        stored(self._cluster.redis, self._cluster.keys, identifier, fits=lambda s: s.revision > revision)
        self._own(client, identifier)

    def _prepare(self, client: Client, identifier: str, crop: Message) -> None:
        life = self._lives.get(identifier)
        if life is None or life.crop != crop:
            self._lives[identifier] = Life(crop)
        if identifier not in client.owned:
            client.since[identifier] = len(client.cms.seen)

    def _own(self, client: Client, identifier: str) -> None:
        for other in self._clients.values():
            other.owned.discard(identifier)
        client.owned.add(identifier)

    def _drain(self, client: Client) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                client.cms.receive()
        self._note(client)
        client.stack.close()

    def _note(self, client: Client) -> None:
        """Take in what has come, and see that it came in order."""
        got: dict[str, list[int]] = defaultdict(list)
        for number, message in enumerate(client.cms.seen):
            if message["type"] == "imageDetection":
                identifier = message["subscriptionIdentifier"]
                if life := self._lives.get(identifier):
                    life.received.add(message["captured"])
                if number >= client.since.get(identifier, 0):
                    got[identifier].append(message["captured"])
        for captured in got.values():
            assert captured == sorted(set(captured))

    def _stored(self) -> dict[str, Subscription]:
        return dict(subscriptions.read(self._cluster.redis, self._cluster.keys).subscriptions)

    def _find(self, identifier: str) -> Subscription | None:
        return self._stored().get(identifier)

    def _revision(self, identifier: str) -> int:
        found = self._find(identifier)
        return found.revision if found else 0

    def _session(self, display: str) -> sessions.SessionId:
        history = sessions.read(self._cluster.redis, self._cluster.keys, [display]).get(display, ())
        return history[-1][1] if history else None


@pytest.mark.timeout(240)
def test_nothing_that_cmss_and_gateways_do_loses_a_result_or_an_owner(cluster: Cluster) -> None:
    run_state_machine_as_test(
        lambda: Delivery(cluster),  # type: ignore[arg-type]  # Anything that returns one will do, says its docstring.
        settings=settings(
            max_examples=30,
            stateful_step_count=15,
            deadline=None,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
