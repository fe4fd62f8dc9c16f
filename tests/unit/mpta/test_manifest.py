from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpta import Publish, SaveImage, parse
from tests.unit.mpta.toys import manifest, node

REDIS = {"host": "localhost", "port": 6379}


def faults(document: Any) -> tuple[str, ...]:
    found, problems, _ = parse(json.dumps(document).encode())
    assert found is None
    return problems


def warnings(root: dict[str, Any], **top: Any) -> tuple[str, ...]:
    found, problems, told = parse(json.dumps({"pipeline": root, **top}).encode())
    assert found is not None, problems
    return told


def test_defaults_are_those_of_the_format_and_two_of_them_are_told() -> None:
    root = {"modelId": "a", "modelFile": "a.pt"}

    found = manifest(root).root

    assert (found.min_confidence, found.trigger_classes, found.crop, found.report) == (0.25, frozenset(), False, "best")
    assert (found.min_result_confidence, found.resize, found.tracker, found.classes) == (0, None, None, None)
    assert warnings(root) == (
        "pipeline.minConfidence: not given, 0.25 is used",
        "pipeline.triggerClasses: not given, every class counts",
    )


def test_all_faults_are_told_at_once_each_with_its_path() -> None:
    branch = node("b", minConfidence="high", read="sideways", crop="yes", fields={"class": "{class}"})

    found = faults({"pipeline": node("a", modelFile=3, branches=[branch, 7]), "redis": {"port": 0}})

    assert found == (
        "redis.host: is missing",
        "redis.port: must be a whole number from 1 to 65535, not 0",
        "pipeline.modelFile: must be a string, not 3",
        "pipeline.branches[1]: must be an object, not 7",
        "pipeline.branches[0].minConfidence: must be a number from 0 to 1, not a string",
        "pipeline.branches[0].crop: must be true or false, not a string",
        "pipeline.branches[0].fields: 'class' is a name that every detection already has",
        "pipeline.branches[0].read: must be 'left-to-right' or 'top-to-bottom', not a string",
    )


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        (b'{"pipeline": {\n  "modelId": }}', "line 2 column 14"),
        (b'{"pipeline": NaN}', "NaN is not a JSON number"),
        (b"\xff\xfe", "not UTF-8"),
        (b"[]", "an object at its top"),
        (b"[" * 100_000, "nested too deeply"),
        (b" " * (2 << 20), "larger than"),
        (b"{}", "pipeline: is missing"),
        (b'{"pipeline": "\\ud800"}', "not UTF-8"),
        (b'{"pipeline": ' + b"9" * 5000 + b"}", "not valid JSON"),
        (b'{"pipeline": {"minConfidence": ' + b"9" * 400 + b"}}", "minConfidence: must be a number from 0 to 1"),
        (b'{"pipeline": {"modelId": null, "modelFile": "a.pt"}}', "pipeline.modelId: must be a value, not null"),
    ],
)
def test_text_that_is_no_pipeline_is_refused_with_its_place(text: bytes, fault: str) -> None:
    found, problems, _ = parse(text)

    assert found is None
    assert fault in "; ".join(problems)


def test_too_deep_a_tree_is_refused() -> None:
    root = node("a")
    for _ in range(20):
        root = node("a", branches=[root])

    assert any("16 levels" in fault for fault in faults({"pipeline": root}))


def test_an_unknown_key_is_kept_and_told_once() -> None:
    root = node("a", color=1, branches=[node("b", color=2)])

    assert warnings(root) == ("pipeline.branches[0].color: unknown key, ignored",)
    assert manifest(root).root.extras == {"color": 1}


def test_actions_that_cannot_run_are_disabled_and_told_and_the_others_stay() -> None:
    actions = [
        {"type": "redis_save_image", "key": "k:{id}:{uuid}", "expire_seconds": 60},
        {"type": "redis_publish", "channel": "c", "message": '{"class":"{class}","body":"{body}"}'},
        {"type": "redis_publish", "channel": "c", "message": "{brand}"},
        {"type": "email"},
    ]
    root = node("a", actions=actions, branches=[node("b", fields={"body": "{class}"})])

    found = manifest(root, redis=REDIS)

    assert found.root.actions == (
        SaveImage(key="k:{id}:{uuid}", expire_seconds=60),
        Publish(channel="c", message='{"class":"{class}","body":"{body}"}'),
    )
    assert found.disabled == (
        "pipeline.actions[2]: disabled: 'message' uses {brand}, which nothing gives",
        "pipeline.actions[3]: disabled: unknown type 'email'",
    )
    assert len(manifest(root).disabled) == 4


def test_a_conversion_in_a_template_disables_its_action() -> None:
    actions = [{"type": "redis_publish", "channel": "c", "message": "{class!r}"}]

    assert manifest(node("a", actions=actions), redis=REDIS).disabled == (
        "pipeline.actions[0]: disabled: 'message' has {class!r}; a placeholder has no conversion",
    )


def test_the_older_engines_ways_of_giving_nothing_are_read_as_not_given() -> None:
    action = {"type": "redis_save_image", "key": "k", "expire_seconds": 0}
    root = node("a", triggerClasses=None, crop=None, actions=[action], branches=[node("b", actions=None)])

    found = manifest(root, redis={**REDIS, "password": None, "db": None})

    assert found.root.actions == (SaveImage(key="k", expire_seconds=None),)
    assert found.root.trigger_classes == frozenset()
    assert warnings(root) == (
        "pipeline.triggerClasses: null is read as not given",
        "pipeline.crop: null is read as not given",
        "pipeline.branches[0].actions: null is read as not given",
        "pipeline.actions[0]: disabled: the package has no 'redis' block",
    )


def test_a_key_that_is_given_twice_is_told_and_the_last_one_counts() -> None:
    text = b"""{"pipeline": {"modelId": "first", "modelId": "last", "modelFile": "a.pt", "minConfidence": 0.5,
        "triggerClasses": [], "fields": {"x": "{class}", "x": "{id}"}}}"""

    found, _, told = parse(text)

    assert found is not None
    assert (found.root.model_id, found.root.fields["x"]) == ("last", "{id}")
    assert told == (
        "pipeline.modelId: given more than once, the last one counts",
        "pipeline.fields.x: given more than once, the last one counts",
    )


def test_thousands_of_warnings_are_not_all_told() -> None:
    root = node("a", **{f"key{number}": None for number in range(5000)})
    twice = ", ".join(f'"k{number}": 1, "k{number}": 2' for number in range(5000))

    assert len(warnings(root)) == 100
    _, _, told = parse(b'{"pipeline": {"modelId": "a", "modelFile": "a.pt", %s}}' % twice.encode())
    assert len(told) <= 202


def test_a_mistyped_action_refuses_the_package() -> None:
    broken = node("a", actions=[{"type": "redis_save_image", "key": "k", "quality": 101}])

    assert faults({"pipeline": broken, "redis": REDIS}) == (
        "pipeline.actions[0].quality: must be a whole number from 1 to 100, not 101",
    )


def test_a_password_is_not_shown() -> None:
    found = manifest(node("a"), redis={**REDIS, "password": "hunter2"})

    assert "hunter2" not in repr(found)


def test_a_name_used_twice_is_a_warning() -> None:
    root = node("a", fields={"x": "{class}"}, branches=[node("a", fields={"x": "{nobody}"}, tracker="bytetrack")])

    assert warnings(root) == (
        "pipeline.branches[0].fields: 'x' uses {nobody}, which is always null",
        "pipeline.branches[0].tracker: only the root is tracked, ignored",
        "pipeline.branches[0].modelId: 'a' names another node already",
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*node("a"), "branches", "actions", "fields", "type"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_gives_a_manifest_or_faults(value: Any) -> None:
    for document in (value, {"pipeline": value}, {"pipeline": node("a", branches=value, actions=value)}):
        found, problems, _ = parse(json.dumps(document).encode())

        assert (found is None) == bool(problems)
