from __future__ import annotations

from typing import Any

import pytest

from mpta import Model, ModelInvalid, Pipeline
from mpta.checks import Finding, check
from tests.unit.mpta.toys import BrightnessClassifier, ColourDetector, manifest, node

REDIS = {"host": "localhost", "port": 6379}
SAVE = {"type": "redis_save_image", "key": "{class}:{id}"}
PUBLISH = {"type": "redis_publish", "channel": "c", "message": "{image_key}"}


def models() -> dict[str, Model]:
    vehicles = ColourDetector(("car", "truck"), [((0, 0, 250), 0.9), ((0, 250, 0), 0.8)])
    letters = ColourDetector(("A", "B"), [((250, 0, 0), 0.9), ((250, 250, 250), 0.8)])
    shades = {name: BrightnessClassifier() for name in ("shade", "other", "third")}
    return {"vehicles": vehicles, "letters": letters, **shades}


def told(root: dict[str, Any], **top: Any) -> list[str]:
    return [str(finding) for finding in check(manifest(root, **top), models())]


def test_a_sound_package_gives_no_finding() -> None:
    root = node(
        "vehicles",
        triggerClasses=["car"],
        actions=[SAVE, PUBLISH],
        fields={"track": "{id}"},
        branches=[node("letters", triggerClasses=["car"], read="left-to-right", crop=True, fields={"plate": "{text}"})],
    )

    assert told(root, redis=REDIS) == []


def test_classes_that_a_model_does_not_have_are_named_with_a_remedy() -> None:
    root = node(
        "vehicles", triggerClasses=["car", "trukc"], branches=[node("shade", triggerClasses=["car", "bicycle"])]
    )

    assert told(root) == [
        "pipeline.triggerClasses: 'trukc' is no class of 'vehicles'; did you mean 'truck'?",
        "pipeline.branches[0].triggerClasses: 'bicycle' is no class of 'vehicles'; it has car, truck",
    ]


@pytest.mark.parametrize("key", ["triggerClasses", "classes"])
def test_a_list_of_which_the_model_knows_nothing_counts_for_all(key: str) -> None:
    assert told(node("vehicles", **{key: ["boat"]})) == [
        f"pipeline.{key}: the model knows none of these classes, so all count; it has car, truck"
    ]


@pytest.mark.parametrize("limit", [{"triggerClasses": ["car"]}, {"classes": ["car"]}])
def test_a_branch_on_a_class_that_its_parent_never_answers_is_told(limit: dict[str, Any]) -> None:
    hidden = node("shade", triggerClasses=["truck"], fields={"x": "{class}"}, branches=[node("vehicles")])
    root = node("vehicles", **limit, branches=[hidden, node("other", fields={"x": "{class}"})])

    assert told(root) == [
        "pipeline.branches[0].triggerClasses: no class that its parent answers with is among them, so it never runs;"
        " name one that is",
    ]


def test_a_reading_parent_may_answer_any_text() -> None:
    assert told(node("letters", read="left-to-right", branches=[node("shade", triggerClasses=["AB1"])])) == []


@pytest.mark.parametrize(
    ("first", "second", "is_told"),
    [
        ({}, {}, True),
        ({"triggerClasses": ["car"]}, {"triggerClasses": ["car"]}, True),
        ({"triggerClasses": ["car"]}, {"triggerClasses": ["truck"]}, False),
        ({"triggerClasses": ["car"]}, {}, False),
        ({"minConfidence": 0.5}, {}, False),
        ({"minConfidence": 0.5}, {"minConfidence": 0.6}, True),
        ({"minResultConfidence": 0.1}, {}, False),
        ({"classes": ["dark"]}, {}, False),
    ],
)
def test_a_branch_after_one_that_always_answers_is_unreachable(
    first: dict[str, Any], second: dict[str, Any], is_told: bool
) -> None:
    root = node("vehicles", branches=[node("shade", **first), node("other", **second)])
    sentence = (
        "pipeline.branches[1]: never runs, because a branch before it always answers; move it up, or give the nodes"
        " 'fields'"
    )

    assert told(root) == ([sentence] if is_told else [])


def test_with_fields_no_branch_hides_another() -> None:
    assert told(node("vehicles", branches=[node("shade", fields={"a": "{class}"}), node("other")])) == []


def test_a_field_that_two_nodes_of_one_event_write_is_told() -> None:
    deep = node("third", fields={"b": "{class}"})
    root = node(
        "vehicles",
        fields={"a": "{class}"},
        branches=[
            node("shade", fields={"a": "{class}"}, branches=[deep]),
            node("other", fields={"b": "{class}"}),
        ],
    )

    assert told(root) == [
        "pipeline.branches[0].fields: 'a' replaces that of pipeline; rename one of them",
        "pipeline.branches[1].fields: 'b' replaces that of pipeline.branches[0].branches[0]; rename one of them",
    ]


def test_branches_on_different_classes_may_write_the_same_field() -> None:
    brand = {"brand": "{class}"}
    car, truck = (node(name, triggerClasses=[on], fields=brand) for name, on in (("shade", "car"), ("other", "truck")))

    assert told(node("vehicles", branches=[car, truck])) == []


def test_templates_that_never_have_a_value_are_told() -> None:
    inner = node("shade", actions=[PUBLISH], fields={"plate": "{text}"})
    root = node("vehicles", tracker="none", actions=[SAVE, PUBLISH], branches=[inner])

    assert told(root, redis=REDIS) == [
        "pipeline.branches[0].fields.plate: {text} never has a value here: only a node with 'read' has it",
        "pipeline.branches[0].actions: {image_key} never has a value here: no redis_save_image runs before it",
        "pipeline.actions: {id} never has a value here: the root tracks nothing",
    ]


def test_disabled_actions_are_findings_of_their_own_severity() -> None:
    found = check(manifest(node("vehicles", actions=[PUBLISH])), models())

    assert found == (
        Finding(
            severity="disabled",
            path="pipeline.actions[0]",
            text="the package has no 'redis' block, so this action does not run",
        ),
    )


def test_warnings_reach_the_pipeline_as_sentences_and_what_is_refused_stops_it() -> None:
    pipeline = Pipeline(manifest(node("vehicles", triggerClasses=["boat"])), models(), warnings=["before"])
    assert pipeline.warnings == (
        "before",
        "pipeline.triggerClasses: the model knows none of these classes, so all count; it has car, truck",
    )

    both = node("shade", read="left-to-right", branches=[node("other", read="top-to-bottom")])
    with pytest.raises(ModelInvalid, match=r"pipeline\.read: 'shade' is a classifier.*pipeline\.branches\[0\]\.read"):
        Pipeline(manifest(both), models())
