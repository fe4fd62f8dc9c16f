from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mpta.safety import secure_ultralytics
from mpta.suppression import IOU, MAX_BOXES, finished, suppress, upright


def crowd(seed: int, anchors: int, classes: int, extra: int = 0) -> NDArray[np.float32]:
    """Return the raw output of an imagined model: many boxes around few places, so that they overlap by any amount."""
    random = np.random.default_rng(seed)
    places = random.uniform(50, 600, (6, 2))[random.integers(0, 6, anchors)]
    centres = places + random.normal(0, 6, (anchors, 2))
    sizes = random.uniform(30, 60, (anchors, 2))
    scores = random.uniform(0, 1, (anchors, classes)) ** 2
    angles = random.uniform(-1.5, 1.5, (anchors, extra))
    return np.hstack([centres, sizes, scores, angles]).T.astype(np.float32)


def by_ultralytics(raw: NDArray[np.float32], classes: int, least: float, *, oriented: bool) -> NDArray[np.float32]:
    secure_ultralytics()
    import torch
    from ultralytics.utils.nms import non_max_suppression

    found: Any = non_max_suppression(
        torch.from_numpy(raw[None].copy()), least, IOU, max_det=MAX_BOXES, nc=classes, rotated=oriented
    )
    rows = found[0].numpy()
    if not oriented:
        return np.asarray(rows[:, :6])
    return np.hstack([upright(rows[:, :2], rows[:, 2:4], rows[:, -1]), rows[:, 4:6]])


@given(seed=st.integers(0, 10_000), anchors=st.integers(0, 400), classes=st.integers(1, 4), least=st.floats(0, 0.9))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("oriented", [False, True])
def test_boxes_are_those_of_ultralytics_suppression(
    oriented: bool, seed: int, anchors: int, classes: int, least: float
) -> None:
    raw = crowd(seed, anchors, classes, extra=int(oriented))
    expected = by_ultralytics(raw, classes, max(0.0, least - 1e-6), oriented=oriented)

    found = suppress(raw, classes, least, oriented=oriented)

    assert found.dtype == np.float32
    assert found.shape == expected.shape
    assert found == pytest.approx(expected, abs=1e-3)


def test_no_more_boxes_are_kept_than_ultralytics_keeps() -> None:
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(30.0), np.arange(30.0)))
    raw = np.stack([x * 20, y * 20, x * 0 + 10, x * 0 + 10, np.linspace(0.1, 0.9, 900)]).astype(np.float32)

    found = suppress(raw, 1, 0.05, oriented=False)

    assert len(found) == MAX_BOXES
    assert found[0, 4] == pytest.approx(0.9)


def test_nothing_is_made_of_numbers_that_are_none() -> None:
    raw = np.full((6, 10), np.nan, np.float32)

    assert suppress(raw, 2, 0.0, oriented=False).shape == (0, 6)


def test_an_oriented_box_becomes_the_upright_one_around_it() -> None:
    centre, size = np.array([[50, 40]], np.float32), np.array([[20, 10]], np.float32)

    turned = upright(centre, size, np.array([np.pi / 2], np.float32))

    assert turned == pytest.approx(np.array([[45, 30, 55, 50]]), abs=1e-4)


def test_boxes_that_a_model_suppressed_itself_are_only_filtered() -> None:
    rows = np.array([[1, 2, 3, 4, 0.9, 1, 7], [1, 2, 3, 4, 0.5, 0, 7], [0, 0, 0, 0, 0, 0, 0]], np.float32)

    assert finished(rows, 0.5, oriented=False).tolist() == rows[:2, :6].tolist()
    assert len(finished(rows, 0.0, oriented=False)) == 2
    turned = np.array([[50, 40, 20, 10, 0.9, 1, np.pi / 2]], np.float32)
    assert finished(turned, 0.5, oriented=True) == pytest.approx(np.array([[45, 30, 55, 50, 0.9, 1]]), abs=1e-4)
