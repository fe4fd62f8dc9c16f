"""Puts the five checkpoints and their tree into one `.mpta`; the same models give the same bytes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

#: The earliest time that a zip can hold.
_EPOCH = (1980, 1, 1, 0, 0, 0)

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
    entries = {"pipeline.json": (json.dumps(pipeline, indent=2) + "\n").encode()} | dict(sorted(files.items()))
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in entries.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, content, compresslevel=9)
