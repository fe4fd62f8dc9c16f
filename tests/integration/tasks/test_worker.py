"""A real Celery worker process between frames in Redis and results in the stream."""

from __future__ import annotations

import functools

import pytest

from tests.integration.tasks.colour_worker import BLUE, ORANGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.servers import eventually
from tests.unit.mpta.toys import scene

CAR = scene((ORANGE, (20, 20, 80, 60)))
CAR_AND_TRUCK = scene((ORANGE, (20, 20, 60, 60)), (BLUE, (90, 20, 150, 60)))
EMPTY = scene()


@pytest.mark.usefixtures("worker")
def test_a_frame_becomes_the_message_that_the_protocol_asks_for(desk: Desk) -> None:
    front = desk.subscribe("pump-1;front", desk.package())

    desk.see(front, CAR, captured_ms=1_752_496_496_789)

    message = desk.result(front)
    assert message["type"] == "imageDetection"
    assert message["timestamp"] == "2025-07-14T12:34:56.789Z"
    assert message["data"] == {
        "detection": {"class": "car", "confidence": pytest.approx(0.9)},
        "modelId": 101,
        "modelName": "Colours",
    }
    assert "sessionId" not in message


@pytest.mark.usefixtures("worker")
def test_nothing_in_sight_is_said_as_none(desk: Desk) -> None:
    front = desk.subscribe("pump-1;front", desk.package())

    desk.see(front, EMPTY)

    assert desk.result(front)["data"]["detection"] == {"class": "none", "confidence": 1.0}


@pytest.mark.usefixtures("worker")
def test_two_displays_on_one_camera_cost_one_inference_and_get_two_results(desk: Desk) -> None:
    model = desk.package()
    first, second = desk.subscribe("pump-1;front", model), desk.subscribe("kiosk;front", model)
    assert first.group == second.group

    desk.see(first, CAR)

    messages = [desk.result(first), desk.result(second)]
    assert messages[0]["data"] == messages[1]["data"]
    assert messages[0]["detectionId"] != messages[1]["detectionId"]
    assert desk.redis.hget(desk.keys.group(first.group), "done") == str(desk.seq).encode()


@pytest.mark.usefixtures("worker")
def test_the_session_is_the_one_at_the_time_of_capture(desk: Desk) -> None:
    front = desk.subscribe("pump-1;front", desk.package())
    desk.see(front, CAR, captured_ms=1_500)
    desk.result(front)

    desk.session("pump-1", (1_000, 7), (2_000, "eight"), (3_000, None))
    for captured_ms in (1_999, 2_000, 3_000):
        count = len(desk.results())
        desk.see(front, CAR, captured_ms=captured_ms)
        eventually(functools.partial(desk.count, count + 1))

    assert [message.get("sessionId") for message in desk.results()] == [None, 7, "eight", None]


def test_a_session_that_became_known_while_the_pipeline_ran_counts(desk: Desk, worker: Worker) -> None:
    front = desk.subscribe("pump-1;front", desk.package())
    desk.see(front, CAR, captured_ms=1_500)
    desk.result(front)
    worker.hold.touch()
    desk.see(front, CAR, captured_ms=2_500)
    eventually(lambda: desk.redis.hget(desk.keys.group(front.group), "lease"))

    desk.session("pump-1", (2_000, 7))
    worker.hold.unlink()

    eventually(functools.partial(desk.count, 2))
    assert [message.get("sessionId") for message in desk.results()] == [None, 7]


@pytest.mark.usefixtures("worker")
def test_a_crop_limits_what_is_looked_at(desk: Desk) -> None:
    model = desk.package()
    whole = desk.subscribe("all;yard", model)
    right = desk.subscribe("right;yard", model, crop=(80, 0, 160, 96))
    assert whole.group != right.group

    desk.see(whole, CAR_AND_TRUCK)
    desk.see(right, CAR_AND_TRUCK)

    assert desk.result(whole)["data"]["detection"]["class"] == "car"
    assert desk.result(right)["data"]["detection"]["class"] == "truck"


@pytest.mark.usefixtures("worker")
def test_a_crop_beside_the_picture_is_told(desk: Desk) -> None:
    beside = desk.subscribe("a;yard", desk.package(), crop=(500, 0, 600, 50))

    desk.see(beside, CAR)

    problem = eventually(desk.problems)[0]
    assert (problem.subscription, problem.code) == (beside.id, "bad_crop")
    assert "160x96" in problem.text


@pytest.mark.usefixtures("worker")
def test_a_record_that_cannot_be_read_costs_the_others_nothing(desk: Desk) -> None:
    front = desk.subscribe("pump-1;front", desk.package())
    desk.redis.hset(desk.keys.subscriptions, "broken;one", "{}")

    desk.see(front, CAR)

    assert desk.result(front)["data"]["detection"]["class"] == "car"


@pytest.mark.usefixtures("worker")
def test_a_package_outside_the_allowed_folders_is_not_opened(desk: Desk) -> None:
    desk.subscribe("a;front", "file:///etc/passwd")

    problem = eventually(desk.problems)[0]

    assert problem.code == "model_unavailable"
    assert "allowed" in problem.text
