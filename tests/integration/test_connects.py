"""`contract.connects` against a real server: a row in front of an address, and a back-off that outlives its process."""

from __future__ import annotations

import pytest
from redis import Redis

from contract.connects import Gate
from contract.keys import Cam, Keys


@pytest.fixture
def gate(redis: Redis, keys: Keys) -> Gate:
    return Gate(redis, keys, Cam("a"), "rtsp://recorder:554/1", per_second=2)


def to(gate: Gate, url: str) -> Gate:
    """Return the gate of another camera, on the same servers."""
    return Gate(gate.redis, gate.keys, Cam(url), url, gate.per_second)


def test_cameras_of_one_recorder_come_a_few_at_once_and_then_one_after_the_other(gate: Gate) -> None:
    waits = [to(gate, f"rtsp://recorder:554/{i}").wait_s() for i in range(8)]

    assert waits[:4] == [0, 0, 0, 0]
    assert waits[4:] == pytest.approx([0.5, 1.0, 1.5, 2.0], abs=0.25)


def test_another_address_does_not_wait_for_it(gate: Gate) -> None:
    for _ in range(8):
        gate.wait_s()

    assert to(gate, "http://10.0.0.7/picture.jpg").wait_s() == 0


def test_one_host_of_ours_does_not_open_two_hundred_cameras_at_once(gate: Gate) -> None:
    waits = [to(gate, f"rtsp://10.0.{i}.1/").wait_s() for i in range(200)]

    assert waits[:10] == [0] * 10
    assert waits[-1] == pytest.approx(190 / 25, abs=1.0)


def test_a_file_has_no_recorder_to_wait_for(gate: Gate) -> None:
    waits = [to(gate, "clips/a.mp4").wait_s() for _ in range(6)]

    assert waits == [0] * 6


def test_failures_are_remembered_until_the_camera_plays(gate: Gate) -> None:
    assert gate.remembered() == (0, 0)
    gate.remember(5, 30)

    failures, wait_s = Gate(gate.redis, gate.keys, gate.cam, gate.url, 2).remembered()

    assert failures == 5
    assert wait_s == pytest.approx(30, abs=2)
    gate.forget()
    assert gate.remembered() == (0, 0)


def test_a_wait_that_is_over_leaves_the_count_for_a_while(gate: Gate) -> None:
    gate.remember(3, 0)

    assert gate.remembered() == (3, 0)
