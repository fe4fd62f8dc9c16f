"""What `training` computes without a model: scores, data and the package."""

from __future__ import annotations

import json
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import mpta
from simulator.scene import Scene
from training.degrade import as_camera_sends, through_h264
from training.package import PIPELINE, pack
from training.samples import cut, shots
from training.scoring import Found, Wanted, average_precision, match, overlap

BOX = (10.0, 10.0, 30.0, 30.0)
ELSEWHERE = (100.0, 100.0, 120.0, 120.0)
PACKAGE = Path(__file__).parents[3] / "models" / "forecourt.mpta"


def found(confidence: float, box: tuple[float, float, float, float] = BOX, label: str = "car") -> Found:
    return Found(label=label, confidence=confidence, box=box)


def wanted(box: tuple[float, float, float, float] = BOX, optional: bool = False) -> Wanted:
    return Wanted(label="car", box=box, optional=optional)


def test_overlap_is_the_shared_area() -> None:
    assert overlap(BOX, BOX) == (1.0, 1.0)
    assert overlap(BOX, ELSEWHERE) == (0.0, 0.0)
    assert overlap((0, 0, 10, 10), (5, 0, 15, 10)) == pytest.approx((1 / 3, 1 / 2))


def test_the_most_confident_detection_takes_the_object() -> None:
    assert match([found(0.3), found(0.9)], [wanted(), wanted(ELSEWHERE)]) == [1, None]


@pytest.mark.parametrize(
    ("detections", "truth", "expected"),
    [
        ([found(0.9)], [wanted()], 1.0),
        ([], [wanted()], 0.0),
        ([found(0.9, label="truck")], [wanted()], 0.0),
        ([found(0.9)], [wanted(), wanted(ELSEWHERE)], 0.5),
        ([found(0.5), found(0.9, ELSEWHERE)], [wanted()], 0.5),
        ([found(0.9), found(0.5, ELSEWHERE)], [wanted()], 1.0),
        ([found(0.9), found(0.5)], [wanted()], 1.0),
        ([found(0.5), found(0.9, ELSEWHERE)], [wanted(), wanted(ELSEWHERE, optional=True)], 1.0),
    ],
)
def test_average_precision(detections: list[Found], truth: list[Wanted], expected: float) -> None:
    assert average_precision([(detections, truth)], "car") == pytest.approx(expected)


def test_the_same_models_give_the_same_package(tmp_path: Path) -> None:
    files = {"b.pt": b"two" * 1000, "a.pt": b"one"}

    pack(PIPELINE, files, tmp_path / "first.mpta")
    pack(PIPELINE, dict(reversed(files.items())), tmp_path / "second.mpta")

    assert (tmp_path / "first.mpta").read_bytes() == (tmp_path / "second.mpta").read_bytes()


def test_the_tree_is_valid_and_warns_of_nothing() -> None:
    manifest, faults, warnings = mpta.parse(json.dumps(PIPELINE).encode())

    assert manifest is not None
    assert faults == warnings == ()


def test_the_committed_package_holds_this_tree_and_no_path_of_the_machine_that_made_it() -> None:
    package = mpta.open_package(PACKAGE)

    assert package.warnings == ()
    assert package.manifest == mpta.parse(json.dumps(PIPELINE).encode())[0]
    assert PACKAGE.stat().st_size < 8_000_000
    for file in package.files.values():
        assert not re.search(rb"/(home|root|tmp|work|Users)/|site-packages", file.read_bytes()), file.name


def test_training_frames_are_of_the_scene_and_never_repeat_a_vehicle() -> None:
    frames = list(shots(3, 4))

    plates = [v.plate for frame in frames for v in frame.truth]
    assert len(plates) == len(set(plates)) > 0
    assert all(frame.image.shape == (540, 960, 3) for frame in frames)


def test_degrading_changes_pixels_a_little_and_not_the_picture() -> None:
    before, image = Scene(3).at(4.9)[0], Scene(3).at(5.0)[0]

    for sent in (through_h264((before, image), 28), as_camera_sends((before, image), np.random.default_rng(1))):
        error = np.abs(sent.astype(int) - image).mean()
        assert 0.5 < error < 8
        assert np.corrcoef(cv2.blur(sent, (9, 9)).ravel(), cv2.blur(image, (9, 9)).ravel())[0, 1] > 0.99


def test_a_box_beyond_the_picture_is_cut_to_it() -> None:
    image = np.zeros((50, 80, 3), np.uint8)

    crop, corner = cut(image, (-5.0, 40.0, 20.0, 90.0))

    assert crop.shape == (10, 20, 3)
    assert corner == (0, 40)
