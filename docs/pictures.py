"""`python docs/pictures.py`: make the documents' pictures again, from the demo's package and its cameras."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

import mpta
from cli.demo import PACKAGE
from cli.packages import facts, picture
from mpta import Image
from mpta.drawing import drawn as annotated
from simulator.scene import Scene

IMAGES = Path(__file__).parent / "images"
#: Seed and second of four cameras at which there is something to see.
MOMENTS = ((2, 22.0), (1, 6.0), (3, 24.0), (4, 12.0))
ORANGE, WHITE = (0, 140, 255), (255, 255, 255)


def drawn(image: Image, result: mpta.Result) -> Image:
    """Return the picture with its detections drawn: every box, and what was read of the surest one."""
    canvas = image.copy()
    for i, found in enumerate(result.objects):
        x1, y1, x2, y2 = found["box"]
        cv2.rectangle(canvas, (x1, y1), (x2, y2), ORANGE, 3 if i == 0 else 1, cv2.LINE_AA)
    said = result.detection or {}
    keys = ("class", "carBrand", "bodyType", "licensePlateText")
    text = "  ".join([str(said[key]) for key in keys if said.get(key)] or ["nothing"])
    cv2.rectangle(canvas, (0, 0), (canvas.shape[1], 44), (40, 40, 40), -1)
    cv2.putText(canvas, text, (14, 32), cv2.FONT_HERSHEY_DUPLEX, 0.95, WHITE, 1, cv2.LINE_AA)
    return canvas


def main() -> None:
    """Write `docs/images/forecourt.jpg`, and what the commands for packages show: `tree.svg`, `annotated.jpg`."""
    IMAGES.mkdir(exist_ok=True)
    pipeline = mpta.load(PACKAGE)
    pictures = [Scene(seed).at(moment)[0] for seed, moment in MOMENTS]
    results = pipeline.run([mpta.Frame(image=picture) for picture in pictures])
    tiles = [drawn(picture, result) for picture, result in zip(pictures, results, strict=True)]
    collage = np.vstack([np.hstack(tiles[:2]), np.hstack(tiles[2:])])
    small = cv2.resize(collage, None, fx=0.6, fy=0.6, interpolation=cv2.INTER_AREA)
    cv2.imwrite(str(IMAGES / "forecourt.jpg"), small, [cv2.IMWRITE_JPEG_QUALITY, 85])
    cv2.imwrite(str(IMAGES / "annotated.jpg"), annotated(pictures[0], results[0]), [cv2.IMWRITE_JPEG_QUALITY, 85])
    # Times would be those of whoever ran this.
    (IMAGES / "tree.svg").write_text(picture.svg(facts.gather(PACKAGE, device="cpu", batches=())), encoding="utf-8")


if __name__ == "__main__":
    main()
