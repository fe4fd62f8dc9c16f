from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpta import Frame, Image, Pipeline, motion
from mpta.safety import secure_ultralytics
from mpta.tracking import TrackerSettings, track
from tests.unit.mpta.toys import ColourDetector, manifest, node, scene

Rows = NDArray[np.float32]
RED = (0, 0, 250)
MODULES = {"bytetrack": "byte_tracker", "botsort": "bot_sort"}


@dataclass(frozen=True)
class Boxes:
    """What ultralytics' trackers read of a `Results.boxes`: centre x, centre y, width, height; and so on."""

    xywh: NDArray[np.float64]
    conf: NDArray[np.float64]
    cls: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, mask: NDArray[np.bool_]) -> Boxes:
        return Boxes(self.xywh[mask], self.conf[mask], self.cls[mask])


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


class Ultralytics:
    """Ultralytics' own tracker kept in memory, as the truth."""

    def __init__(self, settings: TrackerSettings) -> None:
        secure_ultralytics()
        module = importlib.import_module(f"ultralytics.trackers.{MODULES[settings.kind]}")
        make: Any = {"bytetrack": "BYTETracker", "botsort": "BOTSORT"}[settings.kind]
        thresholds = {
            "track_high_thresh": settings.high,
            "track_low_thresh": settings.low,
            "new_track_thresh": settings.high,
            "track_buffer": 30,
            "match_thresh": 0.8,
            "fuse_score": True,
            "gmc_method": "none",
            "with_reid": False,
            "proximity_thresh": 0.5,
            "appearance_thresh": 0.8,
        }
        self._tracker: Any = getattr(module, make)(SimpleNamespace(**thresholds))

    def ids(self, found: Rows) -> list[int | None]:
        boxes = found.astype(np.float64)
        corners, sizes = boxes[:, :2], boxes[:, 2:4] - boxes[:, :2]
        ids: list[int | None] = [None] * len(found)
        for row in self._tracker.update(Boxes(np.hstack([corners + sizes / 2, sizes]), boxes[:, 4], boxes[:, 5])):
            ids[int(row[7])] = int(row[4])
        return ids


@pytest.mark.parametrize("kind", ["bytetrack", "botsort"])
@given(seed=st.integers(0, 10_000), least=st.sampled_from([0.02, 0.1, 0.25, 0.6]))
@settings(max_examples=25, deadline=None)
def test_objects_are_told_apart_as_by_ultralytics_own_trackers(kind: Any, seed: int, least: float) -> None:
    chosen = TrackerSettings(kind, least)
    truth = Ultralytics(chosen)
    state = b""
    ours: dict[int, int] = {}

    for found in walk(seed, 60):
        ids, state = track(found, state, chosen)

        # Ultralytics numbers what is seen once, too, so the numbers differ; the objects must not.
        for own, true in zip(ids, truth.ids(found), strict=True):
            assert (own is None) == (true is None)
            if own is not None and true is not None:
                assert ours.setdefault(true, own) == own
    assert len(set(ours.values())) == len(ours) > 3


@pytest.mark.parametrize("kind", ["bytetrack", "botsort"])
@given(seed=st.integers(0, 10_000), cuts=st.sets(st.integers(1, 11), max_size=4))
@settings(max_examples=6, deadline=None)
def test_a_camera_that_moves_to_another_process_keeps_its_ids(kind: Any, seed: int, cuts: set[int]) -> None:
    seen = [scene(*[(RED, tuple(row[:4].astype(int))) for row in found], size=(340, 400)) for found in walk(seed, 12)]

    def ids(pipelines: list[Pipeline]) -> list[list[int | None]]:
        tracks = b""
        given = []
        for pipeline, image in zip(pipelines, seen, strict=True):
            result = pipeline.run([Frame(image=image, tracks=tracks, captured_ms=1_000)])[0]
            tracks = result.tracks
            given.append([each["id"] for each in result.objects])
        return given

    def fresh() -> Pipeline:
        model = ColourDetector(("car",), [(RED, 0.9)], imgsz=(352, 416))
        return Pipeline(manifest(node("root", tracker=kind)), {"root": model})

    one = fresh()
    others = [fresh() for _ in range(5)]

    assert ids([others[sum(cut <= i for cut in cuts)] for i in range(12)]) == ids([one] * 12)


def test_an_object_is_remembered_for_30_frames() -> None:
    for away, same in ((30, True), (31, False)):
        state = b""
        for found in (here := rows((0, 0, 40, 40, 0.9))), *[rows()] * away, here, here:
            ids, state = track(found, state, TrackerSettings("bytetrack", 0.25))

        assert (ids == [1]) == same


@given(gaps=st.lists(st.integers(100, 3_600_000), min_size=1, max_size=12), start=st.integers(0, 2**41))
@settings(max_examples=50, deadline=None)
def test_ids_of_a_day_are_unique_even_when_the_state_is_lost(gaps: list[int], start: int) -> None:
    chosen = TrackerSettings("bytetrack", 0.25)
    given_ids: list[int] = []
    now = start - start % (10**10)  # So that no clock wraps around within this day: it does every 115 days.
    for gap in gaps:
        state = b""
        for step in range(2):
            ids, state = track(rows((0, 0, 40, 40, 0.9)), state, chosen, captured_ms=now + step)
        given_ids += [one for one in ids if one is not None]
        now += gap

    assert len(set(given_ids)) == len(gaps)
    assert all(0 < one < 2**31 for one in given_ids)


def panned(step: int) -> tuple[Image, Rows]:
    """Return a picture of a camera that pans by 35 pixels a frame over a street with three parked cars."""
    street = np.random.default_rng(5).integers(0, 255, (45, 300, 3), dtype=np.uint8)
    wide = cv2.resize(street, (2400, 360), interpolation=cv2.INTER_CUBIC)
    left = step * 35
    cars = [(x - left, 150, x + 40 - left, 190, 0.9) for x in (700, 800, 900)]
    return np.ascontiguousarray(wide[:, left : left + 640]), rows(*cars)


@pytest.mark.parametrize(("kind", "ids"), [("botsort", {1, 2, 3}), ("bytetrack", None)])
def test_botsort_follows_through_the_cameras_own_motion(kind: Any, ids: set[int] | None) -> None:
    chosen = TrackerSettings(kind, 0.25)
    state = b""
    given_ids = set()
    for step in range(12, 20):
        image, found = panned(step)
        seen, state = track(found, state, chosen, image=image)
        given_ids |= set(seen)

    assert given_ids == ids if ids else len(given_ids) > 3


def test_camera_motion_is_measured_in_pixels_of_the_frame() -> None:
    before, after = (panned(step) for step in (12, 13))

    moved = motion.warp(motion.scene(*before), motion.scene(*after))

    assert moved is not None
    assert moved == pytest.approx(np.array([[1, 0, -35], [0, 1, 0]]), abs=0.5)
    large = [cv2.resize(image, None, fx=3, fy=3) for image, _ in (before, after)]
    moved = motion.warp(*(motion.scene(image.astype(np.uint8), rows()) for image in large))
    assert moved is not None
    assert moved == pytest.approx(np.array([[1, 0, -105], [0, 1, 0]]), abs=1.5)


def test_camera_motion_that_cannot_be_told_is_none() -> None:
    image, found = panned(12)
    sound = motion.scene(image, found)
    black = motion.scene(np.zeros_like(image), found)

    for before, after in ((b"", sound), (black, sound), (sound, black), (sound[:-1], sound), (b"x" * 500, sound)):
        assert motion.warp(before, after) is None
    assert motion.warp(motion.scene(image[:200], found), sound) is None


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

    assert len(state) <= 23 * 1024


def test_the_state_with_a_scene_stays_small() -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1080, 1920, 3), dtype=np.uint8)

    assert len(motion.scene(noise, rows())) <= 8 * 1024


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
