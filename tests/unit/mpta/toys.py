"""Simple models that see colours, and packages to put models in."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from mpta import Image, Manifest, Task, parse

Colour = tuple[int, int, int]


@dataclass
class ColourDetector:
    """Sees a box around each patch of one of its colours; counts its passes and the images in each.

    The confidence of a patch is given with its colour. Blue-green-red.
    """

    names: Sequence[str]
    colours: Sequence[tuple[Colour, float]]
    imgsz: tuple[int, int] = (96, 160)
    stride: int = 32
    task: Task = "detect"
    passes: list[int] = field(default_factory=list)
    floors: list[float] = field(default_factory=list)

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> list[NDArray[np.float32]]:
        self.passes.append(len(batch))
        self.floors.append(min_confidence)
        return [self._boxes(image, min_confidence) for image in batch]

    def _boxes(self, image: Image, min_confidence: float) -> NDArray[np.float32]:
        rows = []
        for label, (colour, confidence) in enumerate(self.colours):
            mask = (np.abs(image.astype(int) - colour) < 40).all(2).astype(np.uint8)
            _, _, stats, _ = cv2.connectedComponentsWithStats(np.asarray(mask))
            for x, y, width, height, area in stats[1:]:
                if confidence >= min_confidence and area > 6:
                    rows.append([x, y, x + width, y + height, confidence, label])
        return np.array(rows, np.float32).reshape(-1, 6)


@dataclass
class BrightnessClassifier:
    """Says how bright the image is: the class whose number of greys is nearest to the mean."""

    names: Sequence[str] = ("dark", "middle", "bright")
    confidence: float = 0.9
    imgsz: tuple[int, int] = (32, 32)
    stride: int = 0
    task: Task = "classify"
    passes: list[int] = field(default_factory=list)

    def forward(self, batch: NDArray[np.uint8], min_confidence: float) -> list[NDArray[np.float32]]:
        del min_confidence
        self.passes.append(len(batch))
        rest = (1 - self.confidence) / (len(self.names) - 1)
        found = np.full((len(batch), len(self.names)), rest, np.float32)
        means = batch.mean((1, 2, 3)) / 255 * (len(self.names) - 1)
        found[np.arange(len(batch)), means.round().astype(int)] = self.confidence
        return list(found)


def node(model_id: str, **keys: Any) -> dict[str, Any]:
    """Return a node of pipeline.json with nothing left to a warning."""
    return {
        "modelId": model_id,
        "modelFile": f"{model_id}.pt",
        "minConfidence": 0.25,
        "triggerClasses": [],
        **keys,
    }


def manifest(root: Mapping[str, Any], **top: Any) -> Manifest:
    found, faults, _ = parse(json.dumps({"pipeline": root, **top}).encode())
    assert found is not None, faults
    return found


def package(path: Path, root: Mapping[str, Any], models: Mapping[str, Path], **top: Any) -> Path:
    """Write a `.mpta` and return its path."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("pipeline.json", json.dumps({"pipeline": root, **top}))
        for name, file in models.items():
            archive.write(file, name)
    return path


def scene(*patches: tuple[Colour, tuple[int, int, int, int]], size: tuple[int, int] = (96, 160)) -> Image:
    """Return a black image, height and width of `size`, with coloured boxes x1 y1 x2 y2 on it."""
    image = np.zeros((*size, 3), np.uint8)
    for colour, (x1, y1, x2, y2) in patches:
        image[y1:y2, x1:x2] = colour
    return image
