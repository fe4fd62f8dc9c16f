"""`python -m training.golden PACKAGE`: give a demo package golden cases, rendered scenes with what is on them.

What is expected is the truth of the scene, for vehicles whose brand and plate the camera sees; a case that the package
does not answer so is left to the evaluation. One case more has nobody on it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2

import mpta
from mpta import Image, golden
from mpta.packing import write_archive
from simulator.scene import Scene, Truth
from training.evaluate import FIRST_SEED

#: Places of which no training and no evaluation with fewer scenes has seen one.
_SEED = FIRST_SEED + 1_000_000
_PLACES, _EVERY_S = 40, 7.0
_SEEN = 2
_QUALITY = 85
#: Another machine's or a retrained network's confidence may be off by so much.
_TOLERANCE = 0.2


def add_cases(package: Path) -> list[str]:
    """Write the package again with its cases, in the place of those that it had; return their names."""
    with zipfile.ZipFile(package) as archive:
        files = {name: archive.read(name) for name in archive.namelist() if not name.startswith(f"{golden.FOLDER}/")}
    pipeline = mpta.load(package)
    found = dict(_cases(pipeline))
    for name, (image, expected) in found.items():
        _, jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
        files[f"{golden.FOLDER}/{name}.jpg"] = jpeg.tobytes()
        case = {"detection": expected, "tolerance": _TOLERANCE}
        files[f"{golden.FOLDER}/{name}.json"] = (json.dumps(case, indent=2) + "\n").encode()
    with tempfile.TemporaryDirectory(dir=package.parent) as folder:
        made = Path(folder) / package.name
        write_archive(made, files)
        golden.verify(mpta.open_package(made), pipeline.run)
        made.replace(package)
    return sorted(found)


def _cases(pipeline: mpta.Pipeline) -> Iterator[tuple[str, tuple[Image, dict[str, Any] | None]]]:
    """Yield `_SEEN` cases of different brands, then one of an empty place."""
    brands: set[str] = set()
    empty: Image | None = None
    for place in range(_PLACES):
        scene = Scene(_SEED + place)
        for moment in range(1, 5):
            image, truth = scene.at(moment * _EVERY_S)
            if not truth:
                empty = image if empty is None else empty
                continue
            (result,) = pipeline.run([mpta.Frame(image=image)])
            expected = _expected(truth, result.detection)
            if expected and expected["carBrand"] not in brands and len(brands) < _SEEN:
                brands.add(expected["carBrand"])
                yield f"{expected['class']}-{expected['carBrand'].lower()}", (image, expected)
        if len(brands) == _SEEN and empty is not None:
            break
    if empty is not None:
        yield "empty", (empty, None)


def _expected(truth: Truth, detection: dict[str, Any] | None) -> dict[str, Any] | None:
    """Return what must be said, if it is said of one vehicle that stands and shows its plate; else None."""
    said = detection or {}
    for vehicle in truth:
        identity = {
            "class": vehicle.kind,
            "bodyType": vehicle.body,
            "carBrand": vehicle.brand,
            "licensePlateText": vehicle.plate,
        }
        if vehicle.standing and vehicle.plate_box and all(said.get(key) == value for key, value in identity.items()):
            return {"confidence": 0.9, **identity}
    return None


def main() -> int:
    """Add the cases and say which."""
    parser = argparse.ArgumentParser(prog="python -m training.golden", description="Give a demo package golden cases.")
    parser.add_argument("package", type=Path)
    package: Path = parser.parse_args().package
    names = add_cases(package)
    sys.stdout.write(f"{package.name}: {', '.join(names)}; {package.stat().st_size / 1e6:.1f} MB\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
