"""`mpta.drawing`: what was seen, on its frame."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from mpta import Result
from mpta.drawing import PALETTE, drawn

GREY = np.full((200, 300, 3), 90, np.uint8)


def seen(label: str = "car", box: tuple[int, int, int, int] = (50, 100, 150, 180), **more: Any) -> Result:
    found = {"class": label, "confidence": 0.9, "id": 7, "box": list(box), **more}
    return Result(detection={"class": label, "confidence": 0.9, **more}, objects=(found,))


def test_a_box_is_drawn_where_it_is_and_the_frame_stays_as_it_was() -> None:
    before = GREY.copy()

    canvas = drawn(GREY, seen())

    assert np.array_equal(GREY, before)
    for y, x in ((100, 100), (140, 50), (179, 100), (140, 149)):
        assert tuple(canvas[y, x].tolist()) in PALETTE
    assert (canvas[120:170, 60:140] == 90).all()
    assert (canvas[60:98, 50:110] != 90).any()


def test_each_field_takes_a_line_of_its_own() -> None:
    plain, full = (
        drawn(GREY, seen(box=(50, 150, 150, 190), **fields))
        for fields in (dict[str, Any](), {"brand": "Arkona", "odd": None})
    )

    changed = (plain != full).any(2)

    assert changed.any()
    assert changed[:150].any()
    assert not changed[160:].any()


def test_a_classification_stands_in_the_corner() -> None:
    canvas = drawn(GREY, Result(detection={"class": "day", "confidence": 0.8}))

    assert (canvas[:20, :40] != 90).any()
    assert (canvas[60:] == 90).all()


def test_nothing_seen_is_nothing_drawn() -> None:
    assert np.array_equal(drawn(GREY, Result()), GREY)


@pytest.mark.parametrize("label", ["", "\x1b[2J\n\u202e", "Löwe 東京", "x" * 5000])
@pytest.mark.parametrize("size", [(1, 1), (9, 40), (40, 9)])
def test_strange_names_and_tiny_frames_are_drawn(label: str, size: tuple[int, int]) -> None:
    frame = np.zeros((*size, 3), np.uint8)

    assert drawn(frame, seen(label, (0, 0, size[1], size[0]), kind=label)).shape == frame.shape
