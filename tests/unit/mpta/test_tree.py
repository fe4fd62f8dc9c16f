from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpta import Frame, Model, ModelInvalid, Pipeline, Result
from tests.unit.mpta.toys import BrightnessClassifier, ColourDetector, manifest, node, scene

RED, GREEN, BLUE, WHITE = (0, 0, 250), (0, 250, 0), (250, 0, 0), (250, 250, 250)
REDIS = {"host": "localhost", "port": 6379}


def vehicles() -> ColourDetector:
    return ColourDetector(("car", "truck"), [(RED, 0.9), (GREEN, 0.8)])


def plates() -> ColourDetector:
    return ColourDetector(("plate",), [(WHITE, 0.7)])


def run(root: dict[str, Any], models: dict[str, Model], *frames: Frame, **top: Any) -> list[Result]:
    return Pipeline(manifest(root, **top), models).run(frames)


def one(root: dict[str, Any], models: dict[str, Model], frame: Frame, **top: Any) -> Result:
    return run(root, models, frame, **top)[0]


TWO = Frame(image=scene((RED, (10, 10, 50, 40)), (GREEN, (80, 20, 120, 60))))


def test_the_detection_is_the_most_confident_one_and_objects_are_all_that_count() -> None:
    result = one(node("root"), {"root": vehicles()}, TWO)

    assert result.detection == {"class": "car", "confidence": 0.9}
    assert result.objects == (
        {"class": "car", "confidence": 0.9, "id": 1, "box": [10, 10, 50, 40]},
        {"class": "truck", "confidence": 0.8, "id": 2, "box": [80, 20, 120, 60]},
    )


def test_a_frame_without_anything_gives_nothing() -> None:
    result = one(node("root"), {"root": vehicles()}, Frame(image=scene()))

    assert result.detection is None
    assert (result.objects, result.events) == ((), ())


@pytest.mark.parametrize(
    ("keys", "classes"),
    [
        ({"triggerClasses": ["truck"]}, ["truck"]),
        ({"classes": ["truck"]}, ["truck"]),
        ({"triggerClasses": ["bicycle"]}, ["car", "truck"]),
        ({"minConfidence": 0.85}, ["car"]),
        ({"minConfidence": 0.9}, ["car"]),
        ({"minConfidence": 0.95}, []),
    ],
)
def test_what_counts_at_the_root(keys: dict[str, Any], classes: list[str]) -> None:
    result = one(node("root", **keys), {"root": vehicles()}, TWO)

    assert [seen["class"] for seen in result.objects] == classes


def test_boxes_are_pixels_of_the_full_frame_even_of_a_cropped_one() -> None:
    cropped = Frame(image=TWO.image, crop=(70, 10, 999, 90))

    result = one(node("root"), {"root": vehicles()}, cropped)

    assert result.objects[0]["box"] == [80, 20, 120, 60]
    assert len(result.objects) == 1


def test_a_crop_outside_the_frame_gives_nothing_and_keeps_the_tracks() -> None:
    outside = Frame(image=TWO.image, crop=(500, 500, 600, 600), tracks=b"kept")

    assert one(node("root"), {"root": vehicles()}, outside).tracks == b"kept"


def test_without_fields_the_first_branch_that_answers_decides() -> None:
    shade = BrightnessClassifier()
    root = node("root", branches=[node("nothing"), node("shade", crop=True), node("late")])
    late = BrightnessClassifier()
    models: dict[str, Model] = {"root": vehicles(), "nothing": plates(), "shade": shade, "late": late}

    result = one(root, models, TWO)

    assert result.detection == {"class": "middle", "confidence": 0.9}
    assert late.passes == []


def test_with_fields_every_branch_contributes_and_the_class_stays_the_roots() -> None:
    fields = {"shade": "{class}", "shadeConfidence": "{confidence}", "where": "{x1}-{x2}"}
    root = node(
        "root",
        fields={"track": "{id}"},
        branches=[node("nothing", fields={"plate": "{class}"}), node("shade", crop=True, fields=fields)],
    )

    result = one(root, {"root": vehicles(), "nothing": plates(), "shade": BrightnessClassifier()}, TWO)

    assert result.detection == {
        "class": "car",
        "confidence": 0.9,
        "track": 1,
        "shade": "middle",
        "shadeConfidence": 0.9,
        "where": "10-50",
    }


@pytest.mark.parametrize(
    ("keys", "runs"),
    [
        ({"triggerClasses": []}, True),
        ({"triggerClasses": ["car"]}, True),
        ({"triggerClasses": ["truck"]}, False),
        ({"minConfidence": 0.9}, True),
        ({"minConfidence": 0.91}, False),
    ],
)
def test_a_branch_runs_when_its_triggers_match(keys: dict[str, Any], runs: bool) -> None:
    shade = BrightnessClassifier()

    one(node("root", branches=[node("shade", **keys)]), {"root": vehicles(), "shade": shade}, TWO)

    assert bool(shade.passes) == runs


def test_a_branch_detector_is_limited_to_the_trigger_classes_that_are_its_own() -> None:
    branch = node("again", triggerClasses=["car", "truck"])
    again = ColourDetector(("lamp", "truck"), [(RED, 0.9), (GREEN, 0.8)])

    result = one(node("root", branches=[branch]), {"root": vehicles(), "again": again}, TWO)

    assert result.detection == {"class": "truck", "confidence": 0.8}


def test_a_classification_below_its_least_result_is_no_answer() -> None:
    root = node("root", branches=[node("shade", minResultConfidence=0.95)])

    result = one(root, {"root": vehicles(), "shade": BrightnessClassifier()}, TWO)

    assert result.detection == {"class": "car", "confidence": 0.9}


def test_a_classification_that_is_no_number_is_no_answer() -> None:
    root = node("root", branches=[node("shade")])

    result = one(root, {"root": vehicles(), "shade": BrightnessClassifier(confidence=float("nan"))}, TWO)

    assert result.detection == {"class": "car", "confidence": 0.9}


def test_a_classification_outside_the_classes_that_count_is_no_answer() -> None:
    root = node("root", branches=[node("shade", classes=["bright", "middle"]), node("shade", crop=True)])

    result = one(root, {"root": vehicles(), "shade": BrightnessClassifier()}, TWO)

    assert result.detection == {"class": "middle", "confidence": 0.9}


@pytest.mark.parametrize(("tracker", "floor"), [("none", 0.6), ("bytetrack", 0.1)])
def test_the_model_is_asked_for_what_counts_and_what_the_tracker_needs_below_it(tracker: str, floor: float) -> None:
    model = vehicles()

    one(node("root", minConfidence=0.6, tracker=tracker), {"root": model}, TWO)

    assert model.floors == [floor]


def test_a_branch_sees_the_parents_box_when_it_crops_and_the_parents_image_when_not() -> None:
    for crop, shade in ((True, "middle"), (False, "dark")):
        root = node("root", branches=[node("shade", crop=crop)])

        result = one(root, {"root": vehicles(), "shade": BrightnessClassifier()}, TWO)

        assert result.detection is not None
        assert result.detection["class"] == shade


@pytest.mark.parametrize(("read", "text"), [("left-to-right", "AB"), ("top-to-bottom", "BA")])
def test_characters_are_read_in_the_order_asked_for(read: str, text: str) -> None:
    letters = ColourDetector(("A", "B"), [(BLUE, 0.8), (WHITE, 0.6)])
    frame = Frame(image=scene((RED, (10, 10, 90, 80)), (BLUE, (20, 50, 30, 60)), (WHITE, (60, 20, 70, 30))))
    reader = node("letters", crop=True, read=read, fields={"plate": "{text}", "sure": "{confidence:.2f}"})

    result = one(node("root", branches=[reader]), {"root": vehicles(), "letters": letters}, frame)

    assert result.detection == {"class": "car", "confidence": 0.9, "plate": text, "sure": 0.7}


def test_one_character_seen_as_two_classes_is_read_once() -> None:
    letters = ColourDetector(("O", "0"), [(WHITE, 0.8), (WHITE, 0.6)])
    frame = Frame(image=scene((RED, (10, 10, 90, 80)), (WHITE, (30, 30, 40, 45))))

    result = one(
        node("root", branches=[node("letters", read="left-to-right")]), {"root": vehicles(), "letters": letters}, frame
    )

    assert result.detection == {"class": "O", "confidence": 0.8}


def test_report_all_runs_the_branches_for_every_object_in_one_pass() -> None:
    shade = BrightnessClassifier()
    root = node("root", report="all", branches=[node("shade", crop=True, fields={"shade": "{class}"})])

    first, second = run(root, {"root": vehicles(), "shade": shade}, TWO, TWO)

    assert shade.passes == [4]
    assert first.detection == second.detection
    assert first.detection is not None
    assert first.detection["objects"] == list(first.objects)
    assert [seen["shade"] for seen in first.objects] == ["middle", "middle"]


def test_events_come_children_first_with_all_fields_and_the_image_looked_at() -> None:
    act = [{"type": "redis_publish", "channel": "c", "message": "{class} {shade} {plate}"}]
    root = node(
        "root",
        actions=act,
        branches=[
            node("shade", crop=True, actions=act, fields={"shade": "{class}"}),
            node("plate", fields={"plate": "{class}"}),
        ],
    )

    result = one(root, {"root": vehicles(), "shade": BrightnessClassifier(), "plate": plates()}, TWO, redis=REDIS)

    assert [event.model_id for event in result.events] == ["shade", "root"]
    child, parent = result.events
    assert child.image.shape == (30, 40, 3)
    assert np.shares_memory(child.image, TWO.image)
    assert parent.image.shape == TWO.image.shape
    expected = {"class": "middle", "confidence": 0.9, "id": 1, "text": None, "shade": "middle", "plate": None}
    assert child.context == {**expected, "x1": 10, "y1": 10, "x2": 50, "y2": 40}
    assert parent.context["class"] == "car"


def test_the_events_of_one_object_share_a_name_that_no_other_has() -> None:
    act = [{"type": "redis_publish", "channel": "c", "message": "{uuid}"}]
    root = node("root", report="all", actions=act, branches=[node("shade", actions=act)])

    result = one(root, {"root": vehicles(), "shade": BrightnessClassifier()}, TWO, redis=REDIS)

    names = [event.uuid for event in result.events]
    assert names[0] == names[1] != names[2] == names[3]


def test_a_root_classifier_may_have_branches() -> None:
    shade = BrightnessClassifier()
    root = node("shade", branches=[node("root", triggerClasses=["dark"])])

    result = one(root, {"root": vehicles(), "shade": shade}, TWO)

    assert result.detection == {"class": "car", "confidence": 0.9}
    assert (result.objects, result.tracks) == ((), b"")


def test_track_ids_follow_each_camera_through_its_own_state() -> None:
    pipeline = Pipeline(manifest(node("root")), {"root": vehicles()})
    left, right = (Frame(image=scene((RED, (x, 10, x + 40, 50)))) for x in (10, 100))

    first = pipeline.run([left, TWO])
    again = pipeline.run(
        [Frame(image=right.image, tracks=first[0].tracks), Frame(image=TWO.image, tracks=first[1].tracks)]
    )

    assert [[seen["id"] for seen in result.objects] for result in again] == [[None], [1, 2]]


def test_a_model_that_is_not_given_and_a_reader_that_classifies_are_refused() -> None:
    with pytest.raises(ModelInvalid, match="pipeline: no model 'root'"):
        Pipeline(manifest(node("root")), {})
    with pytest.raises(ModelInvalid, match=r"pipeline\.read: 'shade' is a classifier"):
        Pipeline(manifest(node("shade", read="left-to-right")), {"shade": BrightnessClassifier()})
