"""What an action is given, for whom it is run, and what a job keeps in memory."""

from __future__ import annotations

import json
from typing import Any, cast

import cv2
import numpy as np
import pytest
import redis
from numpy.typing import NDArray

from mpta import Image
from mpta.manifest import Action
from tasks.events import ActionFailed, Job, steps
from tests.unit.tasks.jobs import NAMES, PICTURE, event, job, publish, save, viewer


class Ledger:
    """Takes the commands of actions as a client of a server would; keys in `broken` cannot be set."""

    def __init__(self, *broken: str) -> None:
        self.broken = broken
        self.published: list[tuple[str, dict[str, Any]]] = []
        self.saved: dict[str, tuple[bytes, int | None]] = {}

    def publish(self, channel: str, message: str) -> None:
        self.published.append((channel, json.loads(message)))

    def set(self, key: str, value: bytes, ex: int | None) -> None:
        if key in self.broken:
            raise redis.ResponseError("WRONGTYPE")
        self.saved[key] = value, ex


def ran(job: Job, *broken: str) -> Ledger:
    """Return what a job's actions did, those that fail left out."""
    ledger = Ledger(*broken)
    for step in steps(job):
        try:
            step.run(cast("redis.Redis", ledger))
        except redis.ResponseError:
            continue
    return ledger


def decoded(data: bytes) -> NDArray[np.int_]:
    """Return the pixels of an encoded picture."""
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR), int)


def test_an_action_is_given_every_name_of_the_format() -> None:
    told = ran(job(event(publish(*NAMES, "carBrand", "plate"), carBrand="Opel", plate=None))).published

    [(channel, message)] = told
    assert channel == "c"
    assert message == {
        "class": "car",
        "confidence": "0.9",
        "id": "7",
        "text": "null",
        "x1": "1",
        "y1": "2",
        "x2": "3",
        "y2": "4",
        "timestamp_ms": "1752496496789",
        "timestamp": "2025-07-14T12:34:56.789Z",
        "uuid": "u",
        "image_key": "",
        "subscription": "pump-1;front",
        "display": "pump-1",
        "display_id": "pump-1",
        "camera": "front",
        "camera_id": "front",
        "session_id": "null",
        "model_id": "101",
        "model_name": "Colours",
        "carBrand": "Opel",
        "plate": "null",
    }


TWO_DISPLAYS = (viewer("pump-1;front", 5), viewer("kiosk;front", "six"))


@pytest.mark.parametrize("name", ["subscription", "display", "display_id", "session_id", "model_id", "model_name"])
def test_a_node_that_names_what_differs_between_displays_is_run_for_each(name: str) -> None:
    asked = job(event(save("k"), publish("class", name)), viewers=TWO_DISPLAYS)

    assert len(ran(asked).published) == 2
    assert asked.size == 4


def test_a_node_that_names_no_such_thing_is_run_once_and_its_neighbour_for_each() -> None:
    told = ran(job(event(publish("class")), event(publish("session_id")), viewers=TWO_DISPLAYS)).published

    assert [message for _, message in told] == [{"class": "car"}, {"session_id": "5"}, {"session_id": "six"}]


def test_a_camera_that_two_subscriptions_name_alike_is_told_once() -> None:
    viewers = (viewer("pump-1;front"), viewer("kiosk;front"), viewer("kiosk;Front 2"))

    told = ran(job(event(publish("camera")), viewers=viewers)).published

    assert [message["camera"] for _, message in told] == ["front", "Front 2"]


def test_the_key_of_a_picture_is_known_to_what_comes_later_in_its_event_and_to_no_other_event() -> None:
    child = event(publish("image_key"), save("p:{uuid}", expire_seconds=9), publish("image_key"))
    parent, other = event(publish("image_key")), event(publish("image_key"), uuid="v")

    done = ran(job(child, parent, other))

    assert [message["image_key"] for _, message in done.published] == ["", "p:u", "p:u", ""]
    assert done.saved["p:u"][1] == 9


def test_the_key_of_a_picture_that_could_not_be_saved_is_empty() -> None:
    done = ran(job(event(save("first"), save("second"), publish("image_key"))), "second")

    assert [message["image_key"] for _, message in done.published] == [""]


def test_each_display_is_given_the_key_of_its_own_picture() -> None:
    child, parent = event(save("{display}")), event(publish("display", "image_key"))

    told = ran(job(child, parent, viewers=TWO_DISPLAYS)).published
    broken = ran(job(child, parent, viewers=TWO_DISPLAYS), "kiosk").published

    assert [message["image_key"] for _, message in told] == ["pump-1", "kiosk"]
    assert [message["image_key"] for _, message in broken] == ["pump-1", ""]


@pytest.mark.parametrize(("options", "begins"), [({}, b"\xff\xd8"), ({"format": "png"}, b"\x89PNG")])
def test_a_picture_is_saved_as_it_was_looked_at(options: dict[str, Any], begins: bytes) -> None:
    shades: Image = np.tile(np.linspace(0, 250, 64, dtype=np.uint8)[None, :, None], (48, 1, 3))

    data = ran(job(event(save("k", **options), image=shades))).saved["k"][0]

    assert data.startswith(begins)
    assert np.abs(decoded(data) - shades).max() <= (0 if options else 4)


def test_a_lower_quality_makes_a_smaller_picture() -> None:
    noise = np.random.default_rng(7).integers(0, 255, (48, 64, 3), np.uint8)
    saved = ran(job(event(save("high"), save("low", quality=10), image=noise))).saved

    assert len(saved["low"][0]) * 2 < len(saved["high"][0])


def test_a_picture_that_no_format_can_hold_fails_its_action_only() -> None:
    [step, _] = steps(job(event(save("k"), publish("image_key"), image=np.zeros((1, 70_000, 3), np.uint8))))

    with pytest.raises(ActionFailed, match="70000x1"):
        step.run(cast("redis.Redis", Ledger()))


def test_a_job_keeps_the_pixels_that_its_actions_want_and_no_others() -> None:
    frame = np.zeros((1080, 1920, 3), np.uint8)
    crop, most = frame[10:30, 10:50], frame[:1000]

    def kept(*actions: Action, image: Any = frame) -> int:
        return job(event(*actions, image=image)).pixel_bytes

    assert kept(publish("class")) == 0
    assert kept(save("k")) == frame.nbytes
    assert kept(save("k"), image=crop) == crop.nbytes
    assert kept(save("k"), image=most) == frame.nbytes
    assert job(event(save("k"), image=frame[:]), event(save("k"), image=frame[:])).pixel_bytes == frame.nbytes


def test_a_crop_that_waits_is_a_copy_of_its_own() -> None:
    frame = PICTURE.copy()
    asked = job(event(save("k", format="png"), image=frame[:10, :10]))
    frame[:] = 0

    data = ran(asked).saved["k"][0]

    assert set(decoded(data).flat) == {90}
