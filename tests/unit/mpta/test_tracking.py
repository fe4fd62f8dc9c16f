from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpta import tracking
from mpta.tracking import TrackerSettings, track

Rows = NDArray[np.float32]


def rows(*boxes: tuple[float, float, float, float, float]) -> Rows:
    return np.array([[*box, 0] for box in boxes], np.float32).reshape(-1, 6)


def walk(seed: int, frames: int) -> list[Rows]:
    """Objects that drift, vanish for a while, come back, and flicker in confidence."""
    random = np.random.default_rng(seed)
    places = random.uniform(0, 300, (6, 2))
    speeds = random.uniform(-6, 6, (6, 2))
    found = []
    for _ in range(frames):
        places += speeds + random.normal(0, 1.5, places.shape)
        here = random.random(len(places)) > 0.25
        sizes = random.uniform(38, 42, (len(places), 2))
        confidence = random.uniform(0.05, 1.0, (len(places), 1))
        found.append(np.hstack([places, places + sizes, confidence, np.zeros((6, 1))])[here].astype(np.float32))
    return found


class Uninterrupted:
    """Ultralytics' own tracker kept in memory, as the truth."""

    def __init__(self, settings: TrackerSettings) -> None:
        make, _ = tracking._classes(settings.kind)
        self._tracker: Any = make(settings.args)
        self._tracker._ids = tracking._Ids(1)
        self._settings = settings

    def state(self) -> bytes:
        return tracking._save(self._tracker, self._settings)

    def ids(self, found: Rows) -> list[int | None]:
        boxes = found.astype(np.float64)
        corners, sizes = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]
        given = tracking._Boxes(np.hstack([corners + sizes / 2, sizes]), boxes[:, 4], boxes[:, 5])
        ids: list[int | None] = [None] * len(found)
        for row in self._tracker.update(given):
            ids[int(row[7])] = int(row[4])
        return ids


@pytest.mark.parametrize("kind", ["bytetrack", "botsort"])
@given(seed=st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_ids_after_a_trip_through_bytes_are_those_of_a_tracker_never_interrupted(kind: Any, seed: int) -> None:
    chosen = TrackerSettings(kind, 0.25)
    chosen.args.track_buffer = 3  # So that tracks are given up, and found again on their way out.
    truth = Uninterrupted(chosen)
    state = b""

    for found in walk(seed, 60):
        ids, state = track(found, state, chosen)

        assert ids == truth.ids(found)
        assert state == truth.state()


def test_an_object_that_appears_later_has_no_id_until_it_is_seen_again() -> None:
    chosen = TrackerSettings("bytetrack", 0.25)
    left, right = (10, 10, 50, 50, 0.9), (200, 10, 240, 50, 0.8)

    first, state = track(rows(left), b"", chosen)
    second, state = track(rows(left, right), state, chosen)
    third, state = track(rows(left, right), state, chosen)

    assert (first, second) == ([1], [1, None])
    assert third == [1, 2]


def test_an_id_is_never_used_again() -> None:
    chosen = TrackerSettings("bytetrack", 0.25)
    seen: list[int] = []
    state = b""
    for place in range(40):
        for _ in range(2):
            ids, state = track(rows((place * 60, 0, place * 60 + 40, 40, 0.9)), state, chosen)
        seen += [one for one in ids if one is not None]

    assert len(seen) == len(set(seen)) == 40


def test_the_state_stays_small() -> None:
    chosen = TrackerSettings("bytetrack", 0.25)
    state = b""
    for shift in range(10):
        crowd = [
            (x * 50 + shift * 900, y * 50, x * 50 + 40 + shift * 900, y * 50 + 40, 0.9)
            for x in range(18)
            for y in range(12)
        ]
        _, state = track(rows(*crowd), state, chosen)

    assert len(state) <= 27 * 1024


def test_a_state_of_the_other_tracker_starts_afresh() -> None:
    _, state = track(rows((0, 0, 40, 40, 0.9)), b"", TrackerSettings("botsort", 0.25))

    ids, _ = track(rows((0, 0, 40, 40, 0.9)), state, TrackerSettings("bytetrack", 0.25))

    assert ids == [1]


@given(st.binary(max_size=400))
@settings(max_examples=50, deadline=None)
def test_foreign_bytes_start_afresh(state: bytes) -> None:
    ids, _ = track(rows((0, 0, 40, 40, 0.9)), state, TrackerSettings("bytetrack", 0.25))

    assert ids == [1]


@given(place=st.integers(0, 10_000), change=st.integers(1, 255))
@settings(max_examples=50, deadline=None)
def test_a_damaged_state_starts_afresh(place: int, change: int) -> None:
    chosen = TrackerSettings("bytetrack", 0.25)
    _, sound = track(rows((0, 0, 40, 40, 0.9), (90, 0, 130, 40, 0.9)), b"", chosen)
    damaged = bytearray(sound)
    damaged[place % len(damaged)] ^= change

    ids, _ = track(rows((500, 0, 540, 40, 0.9)), bytes(damaged), chosen)

    assert ids == [1]


def test_no_detection_is_a_frame_too() -> None:
    chosen = TrackerSettings("bytetrack", 0.25)

    ids, state = track(rows(), b"", chosen)

    assert ids == []
    assert track(rows((0, 0, 40, 40, 0.9)), state, chosen)[0] == [None]
