from __future__ import annotations

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpta import templates

CONTEXT = {"class": "car", "confidence": 0.9123, "id": 7, "image_key": "img:1", "text": None}
DOCUMENTED = '{"event":"new_detection","class":"{class}","confidence":{confidence},"image_key":"{image_key}"}'


def test_the_documented_message_comes_out_as_json() -> None:
    message = json.loads(templates.render(DOCUMENTED, CONTEXT))

    assert message == {"event": "new_detection", "class": "car", "confidence": 0.9123, "image_key": "img:1"}


def test_a_message_escaped_for_the_older_engine_comes_out_as_the_same_json() -> None:
    escaped = '{{"class":"{class}","confidence":{confidence:.2f}}}'

    assert templates.render(escaped, CONTEXT) == '{"class":"car","confidence":0.91}'


@pytest.mark.parametrize(
    "template",
    [
        '{"class":"{class}","confidence":{confidence}}',
        '{{"class":"{class}","confidence":{confidence}}}',
        '{ "class" : "{class}" , "confidence" : {confidence} , "note" : "a \\"quoted\\" word" }',
    ],
)
@pytest.mark.parametrize("label", ['5" screen', "back\\slash", "two\nlines", '","admin":"true', "Škoda", "car"])
def test_a_value_inside_a_string_of_json_cannot_end_it(template: str, label: str) -> None:
    message = json.loads(templates.render(template, {**CONTEXT, "class": label}))

    assert message["class"] == label
    assert message["confidence"] == 0.9123
    assert "admin" not in message


@pytest.mark.parametrize(
    ("template", "rendered"),
    [
        ('saw "{class}"', 'saw "5" \\ é"'),  # No JSON: as it always came out.
        ("{class}", '5" \\ é'),
        ('{"class": {class}}', '{"class": 5" \\ é}'),  # Outside of quotes nothing can be escaped.
        ('{"class":"{class:>9}"}', '{"class":"   5\\" \\\\ é"}'),
        ('["{class}", {confidence:.1f}, {text}, {nobody}]', '["5\\" \\\\ é", 0.9, null, null]'),
    ],
)
def test_only_what_stands_inside_a_string_of_json_is_escaped(template: str, rendered: str) -> None:
    assert templates.render(template, {**CONTEXT, "class": '5" \\ é'}) == rendered


@pytest.mark.parametrize(
    ("template", "found"),
    [
        ("{class.__class__}", "{class.__class__}"),
        ("a {id[0]} b", "{id[0]}"),
        ("{class:{id}}", "{class:{id}}"),
        ("{id:>999999999}", "{id:>999999999}"),
        ("{id!r:>100}", "{id!r:>100}"),
        ("{nobody.x}", None),
        ("{id:>99} {confidence:.99f}", None),
        ("{class!r}", None),
        ("{{class.x}}", None),
        ('{"class.x":"{class}"}', None),
        ("{ class.x }", None),
    ],
)
def test_a_placeholder_that_reaches_beyond_its_value_is_found(template: str, found: str | None) -> None:
    assert templates.reaching(template, frozenset(CONTEXT)) == found


def test_a_conversion_is_found() -> None:
    assert templates.converting("{class!r}", frozenset(CONTEXT)) == "{class!r}"
    assert templates.converting("{nobody!r}", frozenset(CONTEXT)) is None


def test_nested_json_keeps_its_braces() -> None:
    assert templates.render('{"a":{"b":{"id":{id}}},"c":{}}', CONTEXT) == '{"a":{"b":{"id":7}},"c":{}}'


def test_a_missing_value_is_null() -> None:
    assert templates.render("{text} {session_id} {nobody}", CONTEXT) == "null null null"


@pytest.mark.parametrize(
    "template",
    ["{class.__class__}", "{class[0]}", "{class!r}", "{0}", "{}", "{class:{id}}", "{id:>999999999}", "{id:.999d}"],
)
def test_what_reaches_beyond_a_name_stands_as_it_is(template: str) -> None:
    rendered = templates.render(template, CONTEXT)

    assert rendered == template.replace("{id}", "7")


def test_a_format_string_over_an_unknown_name_is_read_as_plain_text() -> None:
    assert templates.render("{{{class}}} {brand}", CONTEXT) == "{{car}} null"
    assert templates.render("{{{class}}} {camera}", CONTEXT) == "{car} null"


def test_a_spec_that_does_not_fit_its_value_is_ignored() -> None:
    assert templates.render("{class:.2f} {id:.1f}", CONTEXT) == "car 7.0"


def test_a_single_placeholder_keeps_the_type_of_its_value() -> None:
    assert templates.value("{confidence}", CONTEXT) == 0.9123
    assert templates.value("{confidence:.1f}", CONTEXT) == 0.9
    assert templates.value("{id}", CONTEXT) == 7
    assert templates.value("{text}", CONTEXT) is None
    assert templates.value("{id} ", CONTEXT) == "7 "


def test_half_a_surrogate_pair_comes_out_as_what_can_be_sent() -> None:
    assert templates.render("{class}", {"class": "a\ud800b"}) == "a?b"


def test_an_object_is_never_shown() -> None:
    assert templates.render("{class}", {"class": object()}) == "null"


@given(st.text(alphabet=string.printable, max_size=200))
def test_any_text_renders(template: str) -> None:
    rendered = templates.render(template, CONTEXT)

    assert len(rendered) <= len(template) * 50


@given(st.text(alphabet="{}:.!", max_size=30))
def test_braces_without_a_name_never_lose_more_than_an_escape(template: str) -> None:
    assert templates.render(template, CONTEXT) in (template, template.replace("{{", "{").replace("}}", "}"))


@given(
    st.dictionaries(st.text(max_size=8), st.floats(allow_nan=False, allow_infinity=False) | st.integers(), max_size=4)
)
def test_json_without_placeholders_survives(document: dict[str, float]) -> None:
    text = json.dumps({"values": document})

    assert json.loads(templates.render(text, CONTEXT)) == {"values": document}
