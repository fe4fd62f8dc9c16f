"""The five networks: small YOLO 11 relatives, sized for four cameras on two CPU cores.

Detectors with two scales only (strides 8 and 16) where the object fills a good part of a small crop.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from training.samples import BODY_CLASSES, BRAND_CLASSES, CHARACTER_CLASSES, READER_PX, VEHICLE_CLASSES

Layer = list[Any]

_NEAREST = [None, 2, "nearest"]


def _detector(width: int, *, third_scale: bool) -> dict[str, list[Layer]]:
    """Return backbone and head of a detector whose first layer has `width` channels."""
    w = width
    backbone: list[Layer] = [
        [-1, 1, "Conv", [w, 3, 2]],
        [-1, 1, "Conv", [2 * w, 3, 2]],
        [-1, 1, "C3k2", [2 * w, False, 0.5]],
        [-1, 1, "Conv", [4 * w, 3, 2]],
        [-1, 1, "C3k2", [4 * w, False, 0.5]],
        [-1, 1, "Conv", [6 * w, 3, 2]],
        [-1, 1, "C3k2", [6 * w, False, 0.5]],
    ]
    if not third_scale:
        head: list[Layer] = [
            [-1, 1, "SPPF", [6 * w, 5]],
            [-1, 1, "nn.Upsample", _NEAREST],
            [[-1, 4], 1, "Concat", [1]],
            [-1, 1, "C3k2", [4 * w, False, 0.5]],
            [[10, 7], 1, "Detect", ["nc"]],
        ]
        return {"backbone": backbone, "head": head}
    backbone += [[-1, 1, "Conv", [8 * w, 3, 2]], [-1, 1, "C3k2", [8 * w, False, 0.5]], [-1, 1, "SPPF", [8 * w, 5]]]
    head = [
        [-1, 1, "nn.Upsample", _NEAREST],
        [[-1, 6], 1, "Concat", [1]],
        [-1, 1, "C3k2", [6 * w, False, 0.5]],
        [-1, 1, "nn.Upsample", _NEAREST],
        [[-1, 4], 1, "Concat", [1]],
        [-1, 1, "C3k2", [4 * w, False, 0.5]],
        [[15, 12, 9], 1, "Detect", ["nc"]],
    ]
    return {"backbone": backbone, "head": head}


def _classifier(width: int) -> dict[str, list[Layer]]:
    w = width
    backbone: list[Layer] = [
        [-1, 1, "Conv", [w, 3, 2]],
        [-1, 1, "Conv", [2 * w, 3, 2]],
        [-1, 1, "C3k2", [3 * w, False, 0.5]],
        [-1, 1, "Conv", [4 * w, 3, 2]],
        [-1, 1, "C3k2", [6 * w, False, 0.5]],
        [-1, 1, "Conv", [8 * w, 3, 2]],
        [-1, 1, "C3k2", [8 * w, False, 0.5]],
    ]
    return {"backbone": backbone, "head": [[-1, 1, "Classify", ["nc"]]]}


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """One model to train.

    Attributes:
        name: file name in the package, and folder of its data.
        task: ultralytics' word: detect or classify.
        classes: names in the order of the outputs.
        image_px: longer side of the input; the engine letterboxes (detect) or stretches (classify) to the input.
        height_px: height of the input where it is not square.
        layers: backbone and head in ultralytics' notation.
        epochs, batch, lr: how it is trained.
        augment: ultralytics' settings that differ from `training.fit`'s; `rect` trains without the empty rows that
            letterboxing adds, which is right where all samples have one shape.
    """

    name: str
    task: str
    classes: tuple[str, ...]
    image_px: int
    height_px: int | None = None
    layers: dict[str, list[Layer]]
    epochs: int
    batch: int = 32
    lr: float = 0.003
    augment: dict[str, Any] = field(default_factory=dict)

    @property
    def input_px(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.height_px or self.image_px, self.image_px

    def definition(self) -> dict[str, Any]:
        """Return the network as the mapping that an ultralytics model file holds."""
        return {"nc": len(self.classes), "depth_multiple": 1.0, "width_multiple": 1.0, **self.layers}


NETWORKS = (
    Network(
        name="vehicle",
        task="detect",
        classes=VEHICLE_CLASSES,
        image_px=320,
        layers=_detector(12, third_scale=True),
        epochs=7,
        augment={"fliplr": 0.5, "rect": True, "fraction": 0.7},
    ),
    Network(
        name="body",
        task="classify",
        classes=BODY_CLASSES,
        image_px=128,
        layers=_classifier(12),
        epochs=12,
        batch=64,
        augment={"fliplr": 0.5},
    ),
    Network(
        name="brand",
        task="classify",
        classes=BRAND_CLASSES,
        image_px=128,
        layers=_classifier(12),
        epochs=10,
        batch=64,
    ),
    Network(
        name="plate",
        task="detect",
        classes=("plate",),
        image_px=160,
        layers=_detector(12, third_scale=False),
        epochs=5,
    ),
    Network(
        name="reader",
        task="detect",
        classes=CHARACTER_CLASSES,
        image_px=READER_PX[0],
        height_px=READER_PX[1],
        layers=_detector(16, third_scale=False),
        epochs=12,
        lr=0.004,
        augment={"scale": 0.1, "translate": 0.05, "rect": True},
    ),
)
