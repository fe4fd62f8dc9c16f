"""Golden cases: pictures that a package carries, each with what the package must say of it.

    tests/NAME.jpg    the picture, whole as a camera would give it; .jpeg and .png too
    tests/NAME.json   {"detection": {"class": "car", "licensePlateText": "AB12CD"}, "tolerance": 0.05}

`detection` names what is compared; what it leaves out is not. null instead of an object, or the class `none`: nothing
may be seen. `tolerance` is how far a number may be off: as it stands below 1, as a share of larger ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from mpta.errors import PackageInvalid, shown
from mpta.package import Package
from mpta.picture_size import MAX_PIXELS, picture_size
from mpta.records import Detection, Frame, Image, Result, Value
from mpta.strict_json import JsonInvalid, decode

FOLDER = "tests"
#: A confidence moves by a percent or two between machines; by this much between right and nearly wrong.
DEFAULT_TOLERANCE = 0.05
#: What is said of a frame on which nothing is seen.
NOTHING: Detection = {"class": "none"}
_PICTURES = frozenset({".jpg", ".jpeg", ".png"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One picture and what must be said of it.

    Attributes:
        name: path of the picture inside the package.
        picture: the file on disk.
        expected: keys of the flat detection with their values; see `DEFAULT_TOLERANCE` for `tolerance`.
    """

    name: str
    picture: Path
    expected: Mapping[str, Value]
    tolerance: float = DEFAULT_TOLERANCE


def read_cases(package: Package) -> tuple[Case, ...]:
    """Return the package's cases by name; none when it has no folder `tests`. Nothing is run.

    Raises:
        PackageInvalid: with everything that is wrong with them.
    """
    files = {inner: file for inner, file in package.files.items() if PurePosixPath(inner).parts[0] == FOLDER}
    pictures = [inner for inner in sorted(files) if PurePosixPath(inner).suffix.lower() in _PICTURES]
    texts = {inner for inner in files if inner.lower().endswith(".json")}
    known = {"class", "confidence"} | package.manifest.field_names
    faults, found = [], []
    for inner in pictures:
        text = f"{inner.rpartition('.')[0]}.json"
        if text not in texts:
            faults.append(f"{shown(inner)}: has no {shown(text)} beside it that says what is to be seen")
            continue
        texts.discard(text)
        found.append(Case(name=inner, picture=files[inner], **_expectation(text, files[text], known, faults)))
    faults += [f"{shown(text)}: has no picture of its name beside it (.jpg or .png)" for text in sorted(texts)]
    faults += [f"{shown(case.name)}: {fault}" for case in found if (fault := _picture_fault(case.picture))]
    if faults:
        raise PackageInvalid(package.name, faults)
    return tuple(found)


def differences(case: Case, run: Callable[[Sequence[Frame]], Sequence[Result]]) -> tuple[str, ...]:
    """Run a pipeline (`Pipeline.run`) on the picture; return a sentence for each key that is not as expected."""
    image = _decoded(case.picture)
    if image is None:
        return ("the picture cannot be decoded",)
    said = run([Frame(image=image)])[0].detection or NOTHING
    return tuple(
        f"'{shown(key)}' is {_told(said.get(key))} and should be {_told(wanted)}"
        for key, wanted in case.expected.items()
        if not _same(said.get(key), wanted, case.tolerance)
    )


def verify(package: Package, run: Callable[[Sequence[Frame]], Sequence[Result]]) -> None:
    """Run all cases of a package.

    Raises:
        PackageInvalid: one is faulty or fails; the message names each that does, and its differences.
    """
    failed = [
        f"{shown(case.name)}: {difference}" for case in read_cases(package) for difference in differences(case, run)
    ]
    if failed:
        raise PackageInvalid(package.name, failed)


def _expectation(name: str, file: Path, known: set[str], faults: list[str]) -> dict[str, Any]:
    """Return what a case's JSON says; note what is wrong with it."""

    def fault(key: str, text: str) -> None:
        faults.append(f"{shown(name)}:{key} {text}" if key else f"{shown(name)}: {text}")

    try:
        with file.open("rb") as content:
            document = decode(content.read(1 << 20))
    except JsonInvalid as exc:
        fault("", str(exc))
        return {"expected": {}}
    for key in document.keys() - {"detection", "tolerance"}:
        fault(f" {shown(key)}:", "unknown key; a case has 'detection' and 'tolerance'")
    tolerance = document.get("tolerance", DEFAULT_TOLERANCE)
    if isinstance(tolerance, bool) or not isinstance(tolerance, int | float) or not 0 <= tolerance <= 1:
        fault(" tolerance:", "must be a number from 0 to 1")
        tolerance = DEFAULT_TOLERANCE
    expected = document.get("detection", "")
    if expected is None:
        expected = NOTHING
    if not isinstance(expected, dict) or not expected:
        fault(" detection:", "must be an object with at least one key, or null where nothing may be seen")
        expected = {}
    for key, value in expected.items():
        if key not in known:
            fault(f" detection.{shown(key)}:", f"the package gives no such field; it gives {_listed(known)}")
        elif isinstance(value, bool) or not isinstance(value, str | int | float | None):
            fault(f" detection.{shown(key)}:", "must be a text, a number or null")
    return {"expected": expected, "tolerance": float(tolerance)}


def _picture_fault(file: Path) -> str:
    with file.open("rb") as content:
        size = picture_size(content.read(1 << 20))
    if size is None:
        return "is not a JPEG or PNG picture"
    return f"is larger than {MAX_PIXELS // 10**6} megapixels" if size[0] * size[1] > MAX_PIXELS else ""


def _decoded(file: Path) -> Image | None:
    import cv2  # Here and not above: checking a package needs no OpenCV.
    import numpy as np

    found = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
    return None if found is None else np.asarray(found, np.uint8)


def _same(said: object, wanted: Value, tolerance: float) -> bool:
    if isinstance(said, int | float) and isinstance(wanted, int | float):
        return math.isclose(said, wanted, rel_tol=tolerance, abs_tol=tolerance)
    return said == wanted


def _told(value: object) -> str:
    if value is None:
        return "null"
    return f"'{shown(value)}'" if isinstance(value, str) else f"{value:.4g}" if isinstance(value, float) else str(value)


def _listed(names: set[str]) -> str:
    return ", ".join(shown(name, 40) for name in sorted(names)[:12]) + (", ..." if len(names) > 12 else "")
