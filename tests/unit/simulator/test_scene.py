"""The scene: a pure function of time whose truth matches its pixels."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from simulator.marks import PLATE_CHARACTERS, plate_picture
from simulator.scene import Scene, SeenVehicle
from simulator.traffic import SLOT_S

SEED = 4


@pytest.fixture(scope="module")
def scene() -> Scene:
    return Scene(SEED)


def standing(scene: Scene) -> tuple[float, SeenVehicle]:
    for t in np.arange(0.0, 2 * SLOT_S, 0.5):
        for vehicle in scene.truth_at(float(t)):
            if vehicle.standing and vehicle.plate_box:
                return float(t), vehicle
    pytest.fail("nobody stands at a pump in two slots")


def alone(scene: Scene) -> float:
    """Return a time at which one vehicle stands there and nobody else is in the picture."""
    for t in np.arange(0.0, 20 * SLOT_S, 0.5):
        truth = scene.truth_at(float(t))
        if len(truth) == 1 and truth[0].standing:
            return float(t)
    pytest.fail("never one vehicle alone")


def empty(scene: Scene) -> float:
    for t in np.arange(0.0, 60 * SLOT_S, 0.5):
        if not scene.truth_at(float(t)):
            return float(t)
    pytest.fail("the forecourt is never empty")


def test_the_same_seed_and_time_give_the_same_picture_and_truth(scene: Scene) -> None:
    image, truth = scene.at(12.3)

    again, truth_again = Scene(SEED).at(12.3)

    assert np.array_equal(image, again)
    assert truth == truth_again


def test_another_seed_is_another_place(scene: Scene) -> None:
    other = Scene(SEED + 1).at(12.3)[0].astype(int)

    assert np.abs(scene.at(12.3)[0].astype(int) - other).mean() > 5


def test_a_vehicle_changes_the_picture_inside_its_box_and_not_outside(scene: Scene) -> None:
    t = alone(scene)
    image, (vehicle,) = scene.at(t)
    # The light drifts with time: compare shares of blurred brightness, not single grey values.
    nobody = cv2.blur(scene.at(empty(scene))[0], (9, 9)).astype(float)
    somebody = cv2.blur(image, (9, 9)).astype(float)
    x1, y1, x2, y2 = map(round, vehicle.box)
    outside = np.ones(image.shape[:2], bool)
    # The shadow falls to the right and below.
    outside[max(0, y1 - 10) : y2 + 40, max(0, x1 - 10) : x2 + 70] = False

    ratio = np.median(somebody[outside] / np.maximum(nobody[outside], 1))
    changed = np.abs(somebody - nobody * ratio).max(axis=2) > 24

    assert changed[y1:y2, x1:x2].mean() > 0.5
    assert changed[outside].mean() < 0.02


def test_the_box_is_tight_on_all_four_sides(scene: Scene) -> None:
    t = alone(scene)
    image, (vehicle,) = scene.at(t)
    nobody = scene.at(empty(scene))[0]
    gain = np.median(image / np.maximum(nobody, 1))
    changed = np.abs(cv2.blur(image, (5, 5)) - cv2.blur(nobody, (5, 5)) * gain).max(axis=2) > 24
    x1, y1, x2, y2 = map(round, vehicle.box)

    assert changed[y1 : y1 + 14, x1:x2].any(), "top"
    assert changed[y2 - 14 : y2, x1:x2].any(), "bottom"
    assert changed[y1:y2, x1 : x1 + 14].any(), "left"
    assert changed[y1:y2, x2 - 14 : x2].any(), "right"


def test_a_standing_vehicle_shows_its_plate_large_enough_to_read(scene: Scene) -> None:
    _, vehicle = standing(scene)

    assert vehicle.plate_box is not None
    x1, y1, x2, y2 = vehicle.plate_box
    assert x2 - x1 >= 70
    assert y2 - y1 >= 18


def test_the_plate_box_holds_the_plate_that_the_truth_names(scene: Scene) -> None:
    t, vehicle = standing(scene)
    assert vehicle.plate_quad is not None
    expected = cv2.cvtColor(plate_picture(vehicle.plate)[0], cv2.COLOR_BGR2GRAY)
    height, width = expected.shape
    target = np.array(((0, 0), (width, 0), (width, height), (0, height)), np.float32)
    warp = cv2.getPerspectiveTransform(np.array(vehicle.plate_quad, np.float32), target)

    found = cv2.cvtColor(cv2.warpPerspective(scene.at(t)[0], warp, (width, height)), cv2.COLOR_BGR2GRAY)

    assert np.corrcoef(found.ravel(), cv2.blur(expected, (5, 5)).ravel())[0, 1] > 0.8


def test_a_vehicle_arrives_stands_and_leaves(scene: Scene) -> None:
    t, vehicle = standing(scene)

    states = []
    for moment in np.arange(t - 15, t + 20, 0.25):
        seen = [v for v in scene.truth_at(float(moment)) if v.track == vehicle.track]
        states.append("gone" if not seen else "standing" if seen[0].standing else "moving")
    changes = [s for i, s in enumerate(states) if i == 0 or s != states[i - 1]]

    assert changes == ["gone", "moving", "standing", "moving", "gone"]


def test_a_standing_vehicle_does_not_move(scene: Scene) -> None:
    t, vehicle = standing(scene)

    later = [v for v in scene.truth_at(t + 1.0) if v.track == vehicle.track]

    assert later[0].box == vehicle.box


def test_there_are_never_more_than_three_vehicles_and_sometimes_none_one_and_two() -> None:
    scene = Scene(11)

    counts = {len(scene.truth_at(float(t))) for t in np.arange(0, 300, 1.7)}

    assert {0, 1, 2} <= counts <= {0, 1, 2, 3}


def test_boxes_lie_in_the_picture_and_names_are_known(scene: Scene) -> None:
    for t in np.arange(0, 60, 0.9):
        for vehicle in scene.truth_at(float(t)):
            x1, y1, x2, y2 = vehicle.box
            assert 0 <= x1 < x2 <= scene.view.width
            assert 0 <= y1 < y2 <= scene.view.height
            assert 0 < vehicle.visibility <= 1
            assert vehicle.kind == ("truck" if vehicle.body in ("box-truck", "tanker") else "car")
            assert set(vehicle.plate) <= set(PLATE_CHARACTERS)
            assert len(vehicle.plate) in (6, 7)
