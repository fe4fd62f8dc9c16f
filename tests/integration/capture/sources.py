"""Sources read directly: what a reader would get of them, without servers."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from threading import Event

import cv2
import numpy as np

from capture.pictures import Decoded, Picture
from capture.sources.keyframes import Meter
from capture.sources.opening import make_source
from capture.sources.source import Opening
from capture.sources.synthetic import number_of
from contract.settings import Settings


@contextmanager
def playing(
    settings: Settings,
    url: str,
    kind: str = "stream",
    *,
    wanted_fps: Callable[[], float] = lambda: 1000.0,
    meter: Meter | None = None,
) -> Generator[Generator[Picture]]:
    """Give the pictures of an address; the connection is closed at the end."""
    opening = Opening(
        url=url,
        settings=settings,
        credentials=lambda: "",
        interval_s=lambda: 0.02,
        wait=Event().wait,
        wanted_fps=wanted_fps,
        meter=meter or Meter(),
    )
    pictures = make_source(kind, opening).pictures()
    try:
        yield pictures
    finally:
        pictures.close()


def number(picture: Picture) -> int:
    """Return the number that a test pattern carries."""
    if isinstance(picture, Decoded):
        return number_of(picture.frame.to_ndarray(format="bgr24"))
    image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return number_of(image)
