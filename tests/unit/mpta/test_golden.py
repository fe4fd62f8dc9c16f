"""`mpta.golden`: pictures that a package carries, with what it must say of them."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from types import MappingProxyType
from typing import Any

import cv2
import pytest

import mpta
from mpta import golden
from tests.unit.mpta.toys import ColourDetector, manifest, node, package, scene

RED = (0, 0, 255)
PICTURE = scene((RED, (20, 20, 60, 60)))
ROOT = manifest(node("car", fields={"kind": "{class}", "left": "{x1}"}, triggerClasses=["car"]))
#: A PNG that says it has 40 000 x 40 000 pixels, in 33 bytes.
HUGE = b"\x89PNG\r\n\x1a\n" + struct.pack(">I4sII5BI", 13, b"IHDR", 40_000, 40_000, 8, 2, 0, 0, 0, 0)


def carrying(home: Path, files: dict[str, Any]) -> mpta.Package:
    """Return a package with these files: pictures as arrays, JSON as objects, else bytes."""
    on_disk = {}
    for inner, content in files.items():
        on_disk[inner] = home / inner.replace("/", "_")
        if isinstance(content, bytes):
            on_disk[inner].write_bytes(content)
        elif isinstance(content, dict):
            on_disk[inner].write_text(json.dumps(content))
        else:
            cv2.imwrite(str(on_disk[inner]), content)
    return mpta.Package(name="a.mpta", manifest=ROOT, digest="", files=MappingProxyType(on_disk), warnings=())


def said(home: Path, expected: dict[str, Any] | None, **more: Any) -> tuple[str, ...]:
    """Return how the toy differs from an expectation of the red patch."""
    opened = carrying(home, {"tests/a.png": PICTURE, "tests/a.json": {"detection": expected, **more}})
    (case,) = golden.read_cases(opened)
    return golden.differences(case, mpta.Pipeline(ROOT, {"car": ColourDetector(["car"], [(RED, 0.9)])}).run)


def test_a_case_that_is_as_expected_has_no_differences(tmp_path: Path) -> None:
    assert said(tmp_path, {"class": "car", "confidence": 0.9, "kind": "car", "left": 20}) == ()


def test_only_what_is_named_is_compared(tmp_path: Path) -> None:
    assert said(tmp_path, {"kind": "car"}) == ()


def test_a_difference_names_the_key_and_both_values(tmp_path: Path) -> None:
    assert said(tmp_path, {"class": "tram", "kind": None}) == (
        "'class' is 'car' and should be 'tram'",
        "'kind' is 'car' and should be null",
    )


@pytest.mark.parametrize(
    ("confidence", "tolerance", "good"), [(0.86, 0.05, True), (0.8, 0.05, False), (0.8, 0.1, True)]
)
def test_a_confidence_may_be_off_by_the_tolerance(
    tmp_path: Path, confidence: float, tolerance: float, good: bool
) -> None:
    assert (said(tmp_path, {"confidence": confidence}, tolerance=tolerance) == ()) is good


@pytest.mark.parametrize(("left", "good"), [(21, True), (24, False)])
def test_a_large_number_may_be_off_by_a_share_of_it(tmp_path: Path, left: int, good: bool) -> None:
    assert (said(tmp_path, {"left": left}) == ()) is good


def test_a_number_is_not_a_text(tmp_path: Path) -> None:
    assert said(tmp_path, {"left": "20"}) == ("'left' is 20 and should be '20'",)


@pytest.mark.parametrize("nothing", [None, {"class": "none"}])
def test_nothing_can_be_expected(tmp_path: Path, nothing: dict[str, Any] | None) -> None:
    assert said(tmp_path, nothing) == ("'class' is 'car' and should be 'none'",)


@pytest.mark.parametrize(
    ("files", "fault"),
    [
        ({"tests/a.png": PICTURE}, "tests/a.png: has no tests/a.json beside it"),
        ({"tests/a.json": {"detection": None}}, "tests/a.json: has no picture of its name beside it"),
        ({"tests/a.png": PICTURE, "tests/a.json": {}}, "tests/a.json: detection: must be an object"),
        ({"tests/a.png": PICTURE, "tests/a.json": b"{"}, "tests/a.json: is not valid JSON: line 1"),
        (
            {"tests/a.png": PICTURE, "tests/a.json": {"detection": {"colour": "red"}}},
            "tests/a.json: detection.colour: the package gives no such field; it gives class, confidence, kind, left",
        ),
        (
            {"tests/a.png": PICTURE, "tests/a.json": {"detection": None, "tolerence": 1}},
            "tests/a.json: tolerence: unknown key",
        ),
        (
            {"tests/a.png": PICTURE, "tests/a.json": {"detection": None, "tolerance": 2}},
            "tests/a.json: tolerance: must be a number from 0 to 1",
        ),
        (
            {"tests/a.png": PICTURE, "tests/a.json": {"detection": {"kind": ["car"]}}},
            "tests/a.json: detection.kind: must be a text",
        ),
        (
            {"tests/a.png": PICTURE, "tests/a.json": {"detection": {"left": True}}},
            "tests/a.json: detection.left: must be a text, a number or null",
        ),
        ({"tests/a.png": b"GIF89a", "tests/a.json": {"detection": None}}, "tests/a.png: is not a JPEG or PNG picture"),
        ({"tests/a.png": HUGE, "tests/a.json": {"detection": None}}, "tests/a.png: is larger than 50 megapixels"),
    ],
)
def test_a_faulty_case_is_told_by_its_file(tmp_path: Path, files: dict[str, Any], fault: str) -> None:
    with pytest.raises(mpta.PackageInvalid) as caught:
        golden.read_cases(carrying(tmp_path, files))

    assert len(caught.value.faults) == 1
    assert caught.value.faults[0].startswith(fault)


def test_a_damaged_picture_is_a_difference(tmp_path: Path) -> None:
    opened = carrying(tmp_path, {"tests/a.png": PICTURE, "tests/a.json": {"detection": None}})
    (case,) = golden.read_cases(opened)
    case.picture.write_bytes(case.picture.read_bytes()[:60])

    assert golden.differences(case, lambda _: pytest.fail("run")) == ("the picture cannot be decoded",)


def test_loading_with_verify_refuses_a_package_that_fails_its_own_case(
    tmp_path: Path, weights: dict[str, Path]
) -> None:
    picture, case = tmp_path / "front.jpg", tmp_path / "front.json"
    cv2.imwrite(str(picture), PICTURE)
    case.write_text(json.dumps({"detection": {"class": "zebra"}}))
    files = {"a.pt": weights["classify"], "tests/front.jpg": picture, "tests/front.json": case}
    made = package(tmp_path / "zoo.mpta", node("a"), files)
    answer = mpta.load(made).run([mpta.Frame(image=PICTURE)])[0].detection

    with pytest.raises(
        mpta.PackageInvalid, match=r"zoo\.mpta: tests/front\.jpg: 'class' is '\w+' and should be 'zebra'"
    ):
        mpta.load(made, verify=True)

    assert answer is not None
    case.write_text(json.dumps({"detection": {"class": answer["class"]}}))
    assert mpta.load(package(made, node("a"), files), verify=True)
