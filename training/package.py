"""Puts the five checkpoints and their tree into one `.mpta`; the same models give the same bytes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mpta.packing import write_archive

VEHICLES = ["car", "truck"]

PIPELINE: dict[str, Any] = {
    "pipeline": {
        "modelId": "forecourt-vehicle",
        "modelFile": "vehicle.pt",
        "minConfidence": 0.4,
        "triggerClasses": VEHICLES,
        "tracker": "bytetrack",
        "branches": [
            {
                "modelId": "forecourt-body",
                "modelFile": "body.pt",
                "minConfidence": 0.4,
                "triggerClasses": VEHICLES,
                "crop": True,
                "fields": {"bodyType": "{class}", "bodyTypeConfidence": "{confidence}"},
            },
            {
                "modelId": "forecourt-brand",
                "modelFile": "brand.pt",
                "minConfidence": 0.4,
                # A vehicle seen from the side shows no badge; then no answer is better than a guess.
                "minResultConfidence": 0.5,
                "triggerClasses": VEHICLES,
                "crop": True,
                "fields": {"carBrand": "{class}", "carBrandConfidence": "{confidence}"},
            },
            {
                "modelId": "forecourt-plate",
                "modelFile": "plate.pt",
                "minConfidence": 0.4,
                "triggerClasses": VEHICLES,
                "classes": ["plate"],
                "crop": True,
                "branches": [
                    {
                        "modelId": "forecourt-reader",
                        "modelFile": "reader.pt",
                        "minConfidence": 0.4,
                        "triggerClasses": ["plate"],
                        "crop": True,
                        "read": "left-to-right",
                        "fields": {"licensePlateText": "{text}", "licensePlateConfidence": "{confidence}"},
                    }
                ],
            },
        ],
    }
}


def pack(pipeline: Mapping[str, Any], files: Mapping[str, bytes], target: Path) -> None:
    """Write a package of this tree and these model files, names as the tree spells them."""
    description = (json.dumps(pipeline, indent=2) + "\n").encode()
    write_archive(target, {**files, "pipeline.json": description})
