"""Actions of packages in a real worker process, at real servers of their owners."""

from __future__ import annotations

import functools
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import torch
from redis import Redis
from redis.client import PubSub

from cli import embedded
from tests.integration.tasks.colour_worker import BLUE, ORANGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.servers import RedisServer, eventually
from tests.unit.mpta import toys
from tests.unit.mpta.toys import scene

PASSWORD = "your-super-secret-password"
CAR = scene((ORANGE, (20, 20, 80, 60)))
CAR_AND_TRUCK = scene((ORANGE, (20, 20, 60, 60)), (BLUE, (90, 20, 150, 60)))

#: As the older engine's documentation has it, but for the server's address.
EXAMPLE = r"""{
  "redis": {"host": "redis.local", "port": 6379, "password": "your-super-secret-password"},
  "pipeline": {
    "modelId": "vehicle-detector",
    "modelFile": "vehicle_model.pt",
    "minConfidence": 0.6,
    "triggerClasses": ["car", "truck"],
    "actions": [
      {
        "type": "redis_save_image",
        "key": "detections:{class}:{timestamp_ms}:{uuid}",
        "expire_seconds": 3600
      },
      {
        "type": "redis_publish",
        "channel": "vehicle_events",
        "message": "{\"event\":\"new_detection\",\"class\":\"{class}\",\"confidence\":{confidence},\"image_key\":\"{image_key}\"}"
      }
    ],
    "branches": []
  }
}"""  # noqa: E501


class Owner:
    """The owner of packages: a server with a password, and ears for everything that is published there."""

    def __init__(self, server: RedisServer) -> None:
        self.server = server
        self.client = Redis.from_url(server.url, password=PASSWORD)
        self.target = {"host": "127.0.0.1", "port": server.port, "password": "env:SHOP_REDIS_PASSWORD"}
        self._ears = cast("PubSub", cast("Any", self.client).pubsub(ignore_subscribe_messages=True))
        self._ears.psubscribe("*")
        self._ears.get_message(timeout=1.0)

    def hear(self, count: int) -> list[tuple[str, Any]]:
        """Wait for so many messages, all of them JSON; return each with its channel."""
        heard = [eventually(functools.partial(self._ears.get_message, timeout=1.0)) for _ in range(count)]
        return [(each["channel"].decode(), json.loads(each["data"])) for each in heard]

    def picture(self, key: str) -> Any:
        """Return the pixels that are stored under a key."""
        return cv2.imdecode(np.frombuffer(cast("bytes", self.client.get(key)), np.uint8), cv2.IMREAD_COLOR)

    def close(self) -> None:
        self._ears.close()
        self.client.close()


@pytest.fixture
def owner() -> Iterator[Owner]:
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        server = RedisServer(Path(home), port=embedded.free_port())
        server.start()
        with Redis.from_url(server.url) as client:
            client.config_set("requirepass", PASSWORD)
        owner = Owner(server)
        yield owner
        owner.close()
        server.stop()


@pytest.fixture(scope="module")
def worker(server: RedisServer, home: Path) -> Iterator[Worker]:
    """A worker whose operator has a password for packages, and other things to hide."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SHOP_REDIS_PASSWORD", PASSWORD)
        patch.setenv("AWS_SECRET", PASSWORD)
        running = Worker(server, home)
    yield running.ready()
    running.close()


def publish(**names: str) -> dict[str, str]:
    message = json.dumps({name: f"{{{given}}}" for name, given in names.items()})
    return {"type": "redis_publish", "channel": "events", "message": message}


@pytest.mark.usefixtures("worker")
def test_the_documented_example_runs_and_its_message_is_json(desk: Desk, owner: Owner) -> None:
    document = json.loads(EXAMPLE)
    document["redis"] |= {"host": "127.0.0.1", "port": owner.server.port}
    torch.save({"model": {}}, desk.home / "vehicle.pt")
    models = {"vehicle_model.pt": desk.home / "vehicle.pt"}
    toys.package(desk.home / "example.mpta", document["pipeline"], models, redis=document["redis"])
    front = desk.subscribe("pump-1;front", "example.mpta")

    desk.see(front, CAR, captured_ms=1_752_496_496_789)

    [(channel, message)] = owner.hear(1)
    key = message.pop("image_key")
    assert (channel, message) == ("vehicle_events", {"event": "new_detection", "class": "car", "confidence": 0.9})
    assert key.startswith("detections:car:1752496496789:")
    assert 3500 < owner.client.ttl(key) <= 3600
    assert np.abs(owner.picture(key).astype(int) - CAR).mean() < 10


@pytest.mark.usefixtures("worker")
def test_each_display_is_told_with_its_own_session_where_the_message_names_it(desk: Desk, owner: Owner) -> None:
    model = desk.package(redis=owner.target, actions=[publish(d="display", s="session_id", u="uuid")])
    first = desk.subscribe("pump-1;front", model)
    desk.subscribe("kiosk;front", model)
    desk.session("kiosk", (1_000, 7))

    desk.see(first, CAR, captured_ms=2_000)

    told = [message for _, message in owner.hear(2)]
    assert sorted((message["d"], message["s"]) for message in told) == [("kiosk", "7"), ("pump-1", "null")]
    assert told[0]["u"] == told[1]["u"]


@pytest.mark.usefixtures("worker")
def test_every_object_is_an_event_of_its_own_when_all_are_reported(desk: Desk, owner: Owner) -> None:
    save = {"type": "redis_save_image", "key": "{class}:{uuid}", "format": "png"}
    actions = [save, publish(c="class", u="uuid", i="image_key")]
    front = desk.subscribe("pump-1;front", desk.package(redis=owner.target, actions=actions, report="all"))

    desk.see(front, CAR_AND_TRUCK)

    car, truck = [message for _, message in owner.hear(2)]
    assert [car["c"], truck["c"]] == ["car", "truck"]
    assert car["u"] != truck["u"]
    assert [car["i"], truck["i"]] == [f"car:{car['u']}", f"truck:{truck['u']}"]
    assert (owner.picture(car["i"]) == owner.picture(truck["i"])).all()


@pytest.mark.usefixtures("worker")
def test_events_wait_for_a_server_that_is_away_in_order_with_their_own_pictures(desk: Desk, owner: Owner) -> None:
    save = {"type": "redis_save_image", "key": "at:{timestamp_ms}", "format": "png"}
    actions = [save, publish(t="timestamp_ms")]
    front = desk.subscribe("pump-1;front", desk.package(redis=owner.target, actions=actions, report="all"))
    owner.server.kill()
    places = range(10, 60, 10)
    for count, x in enumerate(places, start=1):
        desk.see(front, scene((ORANGE, (x, 20, x + 60, 60))), captured_ms=1_000 + x)
        eventually(functools.partial(desk.count, count))

    # Without a password: that one was forgotten with everything else.
    owner.server.start()
    owner.client.close()
    owner.client = Redis.from_url(owner.server.url)
    owner.client.config_set("requirepass", PASSWORD)

    eventually(lambda: owner.client.exists(f"at:{1_000 + places[-1]}"))
    for x in places:
        columns = (np.abs(owner.picture(f"at:{1_000 + x}").astype(int) - ORANGE) < 60).all(2).any(0)
        assert abs(int(columns.argmax()) - x) <= 2


def test_neither_the_password_nor_an_event_is_in_the_log(desk: Desk, worker: Worker) -> None:
    away = {"host": "127.0.0.1", "port": 1, "password": "clear-hunter2"}
    front = desk.subscribe("a;front", desk.package(redis=away, actions=[publish(c="class")]))

    for count in range(1, 6):
        desk.see(front, CAR)
        eventually(functools.partial(desk.count, count))

    where = "actions: 127.0.0.1:1 "
    assert eventually(lambda: worker.said().count(where)) == 1
    assert "redis.password: stands in clear text" in worker.said()
    assert "hunter2" not in worker.said()
    assert PASSWORD not in worker.said()


@pytest.mark.usefixtures("worker")
@pytest.mark.parametrize(
    ("variable", "words"), [("AWS_SECRET", "DETECTOR_PACKAGE_ENV"), ("OTHER_REDIS_PASSWORD", "has no OTHER_REDIS")]
)
def test_a_variable_that_is_not_to_be_had_disables_the_actions_and_each_subscriber_is_told(
    desk: Desk, owner: Owner, variable: str, words: str
) -> None:
    model = desk.package(redis={**owner.target, "password": f"env:{variable}"}, actions=[publish(c="class")])
    first, second = desk.subscribe("a;front", model), desk.subscribe("b;front", model)

    desk.see(first, CAR)

    assert desk.result(first)["data"]["detection"]["class"] == "car"
    told = eventually(lambda: found if len(found := desk.problems()) == 2 else [])
    assert {(problem.subscription, problem.code) for problem in told} == {
        (first.id, "action_disabled"),
        (second.id, "action_disabled"),
    }
    assert words in told[0].text
    assert PASSWORD not in told[0].text


@pytest.mark.usefixtures("worker")
def test_what_actions_came_to_is_in_the_workers_sign(desk: Desk, owner: Owner) -> None:
    front = desk.subscribe("a;front", desk.package(redis=owner.target, actions=[publish(c="class")]))
    desk.see(front, CAR)
    owner.hear(1)

    [facts] = eventually(lambda: [facts for facts in desk.facts() if facts["actions_done"]])

    assert {name for name in facts if name.startswith("actions_")} == {
        *("actions_done", "actions_failed", "actions_retried", "actions_dropped", "actions_queued"),
    }
