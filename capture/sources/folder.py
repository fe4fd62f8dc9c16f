"""Folders of pictures that play like a camera: in the order of their names, a data set of a thousand stills."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Generator
from pathlib import Path

import cv2
import numpy as np

from capture.errors import SourceEnded, SourceLost, SourceRefused
from capture.pictures import MAX_PICTURE_BYTES, Encoded, jpeg_size
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.nodes import now_ms
from contract.problems import Code
from contract.urls import local_path

log = logging.getLogger(__name__)

SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
#: A picture that stays for longer is shown again as unchanged: the camera lives.
_AGAIN_S = 0.5


class Folder:
    """The pictures of a folder; JPEG bytes pass through untouched.

    Args:
        loop: whether the first follows the last.
    """

    def __init__(self, opening: Opening, folder: Path, *, loop: bool) -> None:
        self._opening, self._folder, self._loop = opening, folder, loop

    def pictures(self, fps: float | None) -> Generator[Encoded]:
        """Yield the pictures in turn, `fps` of them a second; None: as many as are wanted."""
        due_s = time.monotonic()
        while True:
            empty = True
            for file in self._files():
                if (jpeg := self._jpeg(file)) is None:
                    log.warning("a picture of a folder is left out, it cannot be read: %s", file.name)
                    continue
                empty, unchanged = False, False
                while True:
                    yield Encoded(now_ms(), jpeg, unchanged)
                    left_s = due_s + 1 / (fps or self._opening.wanted_fps()) - time.monotonic()
                    if self._opening.wait(min(max(left_s, 0.0), _AGAIN_S)):
                        return
                    if left_s <= _AGAIN_S:
                        break
                    unchanged = True
                due_s = max(due_s + 1 / (fps or self._opening.wanted_fps()), time.monotonic() - _AGAIN_S)
            if empty:
                kinds = ", ".join(sorted(SUFFIXES))
                raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"the folder holds no picture that can be read ({kinds})")
            if not self._loop:
                raise SourceEnded

    def _files(self) -> list[Path]:
        """Return the folder's pictures, 9.jpg before 10.jpg."""
        try:
            return sorted((f for f in self._folder.iterdir() if f.suffix.lower() in SUFFIXES), key=_natural)
        except OSError as exc:
            raise SourceLost(Code.CAMERA_UNREACHABLE, f"the folder cannot be read ({exc.strerror})") from exc

    def _jpeg(self, file: Path) -> bytes | None:
        """Return the picture as JPEG; None: it is none, or leads out of the operator's directories."""
        try:
            local_path(str(file), self._opening.settings.media_dirs)
            data = file.read_bytes() if file.stat().st_size <= MAX_PICTURE_BYTES else b""
        except (OSError, UrlRefused):
            return None
        try:
            jpeg_size(data)
        except ValueError:
            return self._encoded(data)
        return data

    def _encoded(self, data: bytes) -> bytes | None:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
        if image is None:
            return None
        quality = [cv2.IMWRITE_JPEG_QUALITY, self._opening.settings.jpeg_quality]
        return cv2.imencode(".jpg", image, quality)[1].tobytes()


def _natural(file: Path) -> list[tuple[int, str]]:
    """Return a key that sorts by the numbers in a name as numbers."""
    parts = re.split(r"(\d+)", file.name.lower())
    return [(int(part), "") if part.isdecimal() else (0, part) for part in parts]
