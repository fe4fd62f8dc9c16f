"""Workers that are killed, stopped, slow, or given packages and pictures that are no good."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from contract.work import LEASE_MS
from mpta import Image
from tests.integration.tasks.colour_worker import MAGENTA, ORANGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.servers import eventually
from tests.unit.mpta.toys import scene

Start = Callable[..., Worker]

CAR = scene((ORANGE, (20, 20, 80, 60)))
UNBEARABLE: Image = np.full((96, 160, 3), MAGENTA, np.uint8)


def test_a_picture_that_the_model_cannot_take_costs_no_other_camera_its_result(desk: Desk, start: Start) -> None:
    worker = start()
    worker.hold.touch()
    model = desk.package()
    bad, good = desk.subscribe("a;bad", model), desk.subscribe("b;good", model)
    desk.see(bad, CAR)
    eventually(lambda: desk.computing(bad))
    desk.see(bad, UNBEARABLE)
    desk.see(good, CAR)
    worker.hold.unlink()

    assert desk.result(good)["data"]["detection"]["class"] == "car"
    [problem] = eventually(desk.problems)
    assert (problem.subscription, problem.code) == (bad.id, "model_failed")
    assert "RuntimeError" in problem.text
    assert eventually(lambda: desk.done(bad) == desk.seq - 1)


@pytest.mark.parametrize(
    ("content", "code", "words"),
    [
        (None, "model_unavailable", "no model package"),
        (b"this is no zip", "model_invalid", "zip"),
    ],
)
def test_a_package_that_is_not_there_or_none_is_told_once(
    desk: Desk, start: Start, content: bytes | None, code: str, words: str
) -> None:
    start("tasks", model_retry_seconds=1)
    if content is not None:
        (desk.home / "odd.mpta").write_bytes(content)
    odd, other = desk.subscribe("a;front", "odd.mpta"), desk.subscribe("b;front", "odd.mpta")

    told = eventually(lambda: found if len(found := desk.problems()) >= 2 else [])

    assert {(problem.subscription, problem.code) for problem in told} == {(odd.id, code), (other.id, code)}
    assert words in told[0].text
    assert str(desk.home) not in told[0].text


def test_an_action_that_cannot_run_is_told_and_the_rest_runs(desk: Desk, start: Start) -> None:
    start()
    front = desk.subscribe("a;front", desk.package(actions=[{"type": "fax_it", "number": "1"}]))

    desk.see(front, CAR)

    assert desk.result(front)["data"]["detection"]["class"] == "car"
    problem = eventually(desk.problems)[0]
    assert (problem.subscription, problem.code) == (front.id, "action_disabled")
    assert "fax_it" in problem.text


OFF = {"type": "redis_publish", "channel": "c", "message": "{class}"}
NO_PASSWORD = {"host": "127.0.0.1", "port": 1, "password": "env:OTHER_REDIS_PASSWORD"}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"actions": [{"type": "fax_it", "number": "1"}]}, "fax_it"),
        ({"actions": [OFF], "redis": NO_PASSWORD}, "OTHER_REDIS_PASSWORD"),
    ],
)
def test_a_strict_worker_refuses_a_package_of_which_a_part_would_be_off(
    desk: Desk, start: Start, part: dict[str, Any], words: str
) -> None:
    start(strict_packages="true")
    front = desk.subscribe("a;front", desk.package(**part))

    problem = eventually(desk.problems)[0]

    assert (problem.subscription, problem.code) == (front.id, "model_invalid")
    assert words in problem.text


def test_a_worker_of_which_a_thread_died_of_a_mistake_ends(desk: Desk, start: Start) -> None:
    worker = start()
    worker.hold.with_suffix(".bug").touch()
    desk.subscribe("a;front", desk.package())

    worker.process.wait(20.0)

    assert "thread packages failed: this worker ends" in worker.said()
    assert "a mistake of ours" in worker.said()


def test_another_worker_takes_over_what_a_killed_one_had(desk: Desk, start: Start) -> None:
    killed = start()
    killed.hold.touch()
    front = desk.subscribe("pump-1;front", desk.package())
    seq = desk.see(front, CAR)
    eventually(lambda: desk.computing(front))
    killed.process.kill()
    killed.hold.unlink()

    start()

    eventually(lambda: desk.see(front, CAR) and desk.results(), every_s=0.1)
    assert desk.done(front) > seq


def test_a_lease_outlives_a_batch_that_takes_longer(desk: Desk, start: Start) -> None:
    slow = start()
    slow.hold.touch()
    front = desk.subscribe("pump-1;front", desk.package())
    seq = desk.see(front, CAR)
    first = eventually(lambda: desk.computing(front))

    eventually(lambda: desk.computing(front) > first + LEASE_MS)
    slow.hold.unlink()

    desk.result(front)
    assert desk.done(front) == seq


def test_sigterm_ends_a_busy_worker_with_its_batch_written(desk: Desk, start: Start) -> None:
    worker = start()
    worker.hold.touch()
    front = desk.subscribe("pump-1;front", desk.package())
    desk.see(front, CAR)
    eventually(lambda: desk.computing(front))

    worker.process.send_signal(signal.SIGTERM)
    worker.hold.unlink()

    assert worker.process.wait(10.0) == 0
    assert desk.results()
    assert desk.redis.zcard(desk.keys.running(front.pipeline)) == 0
    assert desk.redis.zcard(desk.keys.nodes) == 0
