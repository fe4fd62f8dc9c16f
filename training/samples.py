"""Rendered training data: whole frames, vehicle crops and plate crops, in the folders that ultralytics reads.

    {root}/{vehicle,plate,reader}/images/{train,val}/*.jpg   with labels/{train,val}/*.txt: class cx cy w h, 0 to 1
    {root}/{body,brand}/{train,val}/{class}/*.jpg            square, stretched as the engine stretches a crop

Every frame comes from another moment, so every vehicle in the data is another one.
"""

from __future__ import annotations

import json
import multiprocessing
import zlib
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from simulator.bodies import BODIES
from simulator.marks import BRANDS, PLATE_CHARACTERS, plate_picture
from simulator.scene import Box, Scene, SeenVehicle
from training.degrade import Image, as_camera_sends

VEHICLE_CLASSES = ("car", "truck")
BODY_CLASSES = tuple(sorted(BODIES))
BRAND_CLASSES = tuple(sorted(BRANDS))
CHARACTER_CLASSES = tuple(PLATE_CHARACTERS)

#: Seconds between two frames of one scene: longer than any stay, so that nothing is seen twice.
APART_S = 43.7
#: Least share of a vehicle that must be seen for it to count, in training and in measuring.
CLEAR = 0.6
_VISIBLE = 0.3
_LEAST_PLATE_PX = 34
_CLASSIFIER_PX = 128
#: Width and height to which plate crops are padded: what letterboxing them to 160 gives, without the empty rows.
READER_PX = (160, 64)
_PADDING = 114


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame as a worker gets it, (540, 960, 3) BGR, and what is on it."""

    image: Image
    truth: tuple[SeenVehicle, ...]


def shots(scene_seed: int, count: int) -> Iterator[Shot]:
    """Yield `count` frames of one scene, far apart in time, degraded as a camera link degrades them."""
    scene = Scene(scene_seed)
    random = np.random.default_rng((scene_seed, 7))
    for i in range(count):
        t = i * APART_S + float(random.uniform(0.0, 21.0))
        before = scene.at(t - 0.1)[0]
        image, truth = scene.at(t)
        yield Shot(image=as_camera_sends((before, image), random), truth=truth)


def render(root: Path, *, seed: int, scenes: int, frames: int, processes: int = 2) -> None:
    """Write the data of `scenes` scenes with `frames` frames each below `root`; every tenth scene is for validation."""
    jobs = [(root, seed + i, frames, "val" if i % 10 == 9 else "train") for i in range(scenes)]
    with ProcessPoolExecutor(processes, mp_context=multiprocessing.get_context("spawn")) as pool:
        list(pool.map(_render_scene, jobs))
    for name, classes in (("vehicle", VEHICLE_CLASSES), ("plate", ("plate",)), ("reader", CHARACTER_CLASSES)):
        listing = {"path": str(root / name), "train": "images/train", "val": "images/val"}
        # JSON is YAML, and quotes the classes "0" to "9" which YAML would take for numbers.
        (root / f"{name}.yaml").write_text(json.dumps(listing | {"names": dict(enumerate(classes))}))


def _render_scene(job: tuple[Path, int, int, str]) -> None:
    root, scene_seed, frames, split = job
    cv2.setNumThreads(1)
    writer = _Writer(root, split, np.random.default_rng((scene_seed, 11)))
    for i, shot in enumerate(shots(scene_seed, frames)):
        writer.write(f"{scene_seed}_{i}", shot)


@dataclass(frozen=True, slots=True)
class _Writer:
    root: Path
    split: str
    random: np.random.Generator

    def write(self, name: str, shot: Shot) -> None:
        seen = [v for v in shot.truth if v.visibility >= _VISIBLE]
        labels = [(VEHICLE_CLASSES.index(v.kind), v.box) for v in seen]
        self._detection("vehicle", name, shot.image, labels)
        for vehicle in seen:
            self._vehicle(f"{name}_{vehicle.track}", shot.image, vehicle)

    def _vehicle(self, name: str, image: Image, vehicle: SeenVehicle) -> None:
        area = self._jitter(vehicle.box, (-0.03, 0.05), (-0.03, 0.05))
        crop, (x, y) = cut(image, area)
        if vehicle.visibility >= 0.5:
            self._class("body", name, crop, vehicle.body)
        plate = vehicle.plate_box
        if plate is None or vehicle.visibility < 0.5:
            # Nothing to find: half of these teach the plate detector to stay silent.
            if self.random.random() < 0.5:
                self._detection("plate", name, crop, [])
            return
        self._class("brand", name, crop, vehicle.brand)
        self._detection("plate", name, crop, [(0, (plate[0] - x, plate[1] - y, plate[2] - x, plate[3] - y))])
        if plate[2] - plate[0] >= _LEAST_PLATE_PX:
            for variant in "ab":
                self._plate(f"{name}{variant}", image, vehicle, plate)

    def _plate(self, name: str, image: Image, vehicle: SeenVehicle, plate: Box) -> None:
        crop, (x, y) = cut(image, self._jitter(plate, (-0.03, 0.07), (-0.06, 0.22)))
        canvas, scale, (left, top) = self._padded(crop)
        unit = np.array(((0, 0), (1, 0), (1, 1), (0, 1)), np.float32)
        warp = cv2.getPerspectiveTransform(
            unit, np.array(vehicle.plate_quad, np.float32) - np.array((x, y), np.float32)
        )
        labels: list[tuple[int, Box]] = []
        for character, (x1, y1, x2, y2) in zip(vehicle.plate, plate_picture(vehicle.plate)[1], strict=True):
            corners = np.array(((x1, y1), (x2, y1), (x2, y2), (x1, y2)), np.float32)[None]
            placed = cv2.perspectiveTransform(corners, warp)[0] * scale + (left, top)
            low, high = placed.min(axis=0).tolist(), placed.max(axis=0).tolist()
            labels.append((CHARACTER_CLASSES.index(character), (low[0], low[1], high[0], high[1])))
        self._detection("reader", name, canvas, labels)

    def _jitter(self, box: Box, across: tuple[float, float], down: tuple[float, float]) -> Box:
        """Return the box with each side moved outwards by a random share of its width or height."""
        left, right = self.random.uniform(*across, 2) * (box[2] - box[0])
        top, bottom = self.random.uniform(*down, 2) * (box[3] - box[1])
        return box[0] - left, box[1] - top, box[2] + right, box[3] + bottom

    def _padded(self, crop: Image) -> tuple[Image, float, tuple[int, int]]:
        """Return the crop letterboxed to `READER_PX`, its scale, and where its top left corner came to lie."""
        height, width = crop.shape[:2]
        scale = min(READER_PX[0] / width, READER_PX[1] / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        x, y = (READER_PX[0] - size[0]) // 2, (READER_PX[1] - size[1]) // 2
        canvas = np.full((READER_PX[1], READER_PX[0], 3), _PADDING, np.uint8)
        canvas[y : y + size[1], x : x + size[0]] = cv2.resize(crop, size, interpolation=cv2.INTER_LINEAR)
        return canvas, scale, (x, y)

    def _detection(self, kind: str, name: str, image: Image, labels: Sequence[tuple[int, Box]]) -> None:
        # Ultralytics does not shuffle batches of one shape (`rect`), so the names put the samples in a random order.
        name = f"{zlib.crc32(name.encode()):08x}_{name}"
        height, width = image.shape[:2]
        lines = []
        for number, (x1, y1, x2, y2) in labels:
            x1, x2 = max(0.0, x1) / width, min(width, x2) / width
            y1, y2 = max(0.0, y1) / height, min(height, y2) / height
            lines.append(f"{number} {(x1 + x2) / 2:.5f} {(y1 + y2) / 2:.5f} {x2 - x1:.5f} {y2 - y1:.5f}")
        self._image(self.root / kind / "images" / self.split / f"{name}.jpg", image)
        text = self.root / kind / "labels" / self.split / f"{name}.txt"
        text.parent.mkdir(parents=True, exist_ok=True)
        text.write_text("\n".join(lines))

    def _class(self, kind: str, name: str, crop: Image, label: str) -> None:
        # As the engine does it: averaged when it shrinks.
        shrinks = min(crop.shape[:2]) >= _CLASSIFIER_PX
        method = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        square = cv2.resize(crop, (_CLASSIFIER_PX, _CLASSIFIER_PX), interpolation=method)
        self._image(self.root / kind / self.split / label / f"{name}.jpg", square.astype(np.uint8))

    @staticmethod
    def _image(path: Path, image: Image) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 96])


def cut(image: Image, box: Box) -> tuple[Image, tuple[int, int]]:
    """Return the part of the image in a box, and where its top left corner lies in the image."""
    height, width = image.shape[:2]
    x1, y1 = max(0, int(box[0])), max(0, int(box[1]))
    x2, y2 = min(width, max(x1 + 2, round(box[2]))), min(height, max(y1 + 2, round(box[3])))
    return image[y1:y2, x1:x2], (x1, y1)
