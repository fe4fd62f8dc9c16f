"""One forward pass per node and batch, and results as of each frame alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mpta import Frame, Pipeline, Result
from tests.unit.mpta.toys import BrightnessClassifier, ColourDetector, manifest, node, scene

RED, GREEN, BLUE, WHITE = (0, 0, 250), (0, 250, 0), (250, 0, 0), (250, 250, 250)
REDIS = {"host": "localhost", "port": 6379}
PUBLISH = [{"type": "redis_publish", "channel": "{class}", "message": "{confidence}"}]


def models() -> dict[str, Any]:
    return {
        "vehicles": ColourDetector(("car", "truck"), [(RED, 0.9), (GREEN, 0.8)]),
        "plates": ColourDetector(("plate",), [(WHITE, 0.7)], imgsz=(64, 96)),
        "letters": ColourDetector(("A", "B"), [(WHITE, 0.8), (BLUE, 0.6)], imgsz=(64, 96)),
        "shades": BrightnessClassifier(),
    }


patches = st.tuples(
    st.sampled_from([RED, RED, GREEN, GREEN, WHITE, BLUE]),
    st.integers(0, 130),
    st.integers(0, 80),
    st.integers(12, 60),
    st.integers(12, 50),
)
pictures = st.builds(
    lambda found, size: scene(*[(c, (x, y, x + w, y + h)) for c, x, y, w, h in found], size=size),
    st.lists(patches, max_size=6),
    st.sampled_from([(96, 160), (120, 160), (100, 90), (64, 200)]),
)
frames = st.builds(
    lambda image, crop, ms: Frame(image=image, crop=crop, captured_ms=ms),
    pictures,
    st.sampled_from([None, None, (5, 5, 150, 90), (60, 0, 300, 300), (500, 500, 600, 600)]),
    st.sampled_from([0, 123_456_700]),
)


def nodes(depth: int) -> st.SearchStrategy[dict[str, Any]]:
    """Return branches of any kind, with branches of their own."""

    def build(name: str, extra: dict[str, Any], has_fields: bool, acts: bool, below: list[Any]) -> dict[str, Any]:
        keys = {"crop": True, "branches": below, "actions": PUBLISH if acts else [], **extra}
        if name == "letters" and extra.get("read"):
            keys["fields"] = {"text": "{text}", "textAt": "{x1} {y1}"} if has_fields else {}
        elif has_fields:
            keys["fields"] = {name: "{class}", f"{name}Sure": "{confidence:.2f}"}
        return node(name, **keys)

    extras = st.fixed_dictionaries(
        {},
        optional={
            "crop": st.booleans(),
            "triggerClasses": st.sampled_from([["car"], ["truck", "plate"], ["middle"], ["car", "truck"]]),
            "minConfidence": st.sampled_from([0.1, 0.65, 0.85]),
            "resize": st.sampled_from(["stretch", "letterbox"]),
            "minResultConfidence": st.sampled_from([0.0, 0.95]),
        },
    )
    readers = st.sampled_from([{"read": "left-to-right"}, {"read": "top-to-bottom"}, {}])
    below = st.lists(nodes(depth - 1), max_size=2) if depth else st.just([])
    reading = st.builds(lambda extra, reader: {**extra, **reader}, extras, readers)
    return st.one_of(
        st.builds(build, st.just("letters"), reading, st.booleans(), st.booleans(), below),
        st.builds(
            build, st.sampled_from(["plates", "shades", "vehicles"]), extras, st.booleans(), st.booleans(), below
        ),
    )


roots = st.builds(
    lambda tracker, report, branches, has_fields: node(
        "vehicles",
        tracker=tracker,
        report=report,
        branches=branches,
        actions=PUBLISH,
        fields={"track": "{id}"} if has_fields else {},
    ),
    st.sampled_from(["bytetrack", "botsort", "none"]),
    st.sampled_from(["best", "all"]),
    st.lists(nodes(2), max_size=3),
    st.booleans(),
)


def content(result: Result) -> Any:
    events = [(event.model_id, event.actions, dict(event.context), event.image.shape) for event in result.events]
    return result.detection, result.objects, events, result.tracks


@given(root=roots, batch=st.lists(frames, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_a_batch_gives_what_each_frame_gives_alone(root: dict[str, Any], batch: Sequence[Frame]) -> None:
    pipeline = Pipeline(manifest(root, redis=REDIS), models())

    for _ in range(2):  # The second time with the tracks of the first.
        together = pipeline.run(batch)

        for frame, result in zip(batch, together, strict=True):
            assert content(pipeline.run([frame])[0]) == content(result)
        batch = [replace(frame, tracks=result.tracks) for frame, result in zip(batch, together, strict=True)]


@given(root=roots, batch=st.lists(frames, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_every_branch_runs_at_most_once_per_batch(root: dict[str, Any], batch: Sequence[Frame]) -> None:
    parsed = manifest(root, redis=REDIS)
    used = {of.path: models()[of.model_id] for of in parsed.root.walk()}

    Pipeline(parsed, lambda of: used[of.path]).run(batch)

    assert all(len(model.passes) <= 1 for path, model in used.items() if path != "pipeline")


TWO = Frame(image=scene((RED, (10, 10, 50, 40)), (GREEN, (80, 20, 120, 60)), (WHITE, (20, 20, 30, 30))))


@pytest.mark.parametrize("report", ["best", "all"])
def test_all_crops_of_all_frames_go_through_a_branch_in_one_pass(report: str) -> None:
    shade, plate, deep = BrightnessClassifier(), models()["plates"], BrightnessClassifier()
    root = node(
        "vehicles",
        report=report,
        branches=[
            node("shades", crop=True, fields={"shade": "{class}"}),
            node("plates", crop=True, branches=[node("deep", crop=True, modelFile="shades.pt")]),
        ],
    )
    used: dict[str, Any] = {**models(), "shades": shade, "plates": plate, "deep": deep}

    Pipeline(manifest(root), used).run([TWO, TWO, Frame(image=np.zeros_like(TWO.image)), TWO])

    objects = 2 if report == "all" else 1
    assert used["vehicles"].passes == [4]
    assert shade.passes == [3 * objects]
    assert plate.passes == [3 * objects]
    assert deep.passes == [3]  # The plate is on the car alone.


def test_a_branch_that_does_not_crop_sees_each_frame_once_however_many_objects_are_in_it() -> None:
    shade = BrightnessClassifier()
    root = node("vehicles", report="all", branches=[node("shades", fields={"shade": "{class}"})])

    results = Pipeline(manifest(root), {**models(), "shades": shade}).run([TWO, TWO])

    assert shade.passes == [2]
    assert [seen["shade"] for result in results for seen in result.objects] == ["dark"] * 4


def test_cameras_of_one_shape_share_a_pass_of_the_root() -> None:
    used = models()
    wide, tall = np.zeros((90, 160, 3), np.uint8), np.zeros((160, 90, 3), np.uint8)

    Pipeline(manifest(node("vehicles")), used).run([Frame(image=image) for image in (wide, tall, wide, tall, wide)])

    assert used["vehicles"].passes == [3, 2]
