"""Video files that play like a camera: at their own pace, again from the start when they end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing

from capture.errors import SourceLost, SourceRefused
from capture.pictures import Decoded
from capture.sources.decoding import DEFAULT_PERIOD_S, open_container, paced
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.problems import Code
from contract.urls import local_path


class File:
    """A `file://` URL or plain path below the operator's media directories."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def pictures(self) -> Generator[Decoded]:
        """Yield the file's frames when they are due, for ever."""
        path, wait = self._path(), self._opening.wait
        while True:
            empty = True
            with closing(open_container(path, {"protocol_whitelist": "file"}, connect_s=5, read_s=5)) as container:
                for captured_ms, frame in paced(container, wait):
                    empty = False
                    yield Decoded(captured_ms, frame)
            # Also the pause that keeps a file of one frame from spinning.
            if wait(DEFAULT_PERIOD_S):
                return
            if empty:
                raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the file holds no frame that can be decoded")

    def _path(self) -> str:
        try:
            path = local_path(self._opening.url, self._opening.settings.media_dirs)
        except UrlRefused as exc:
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"{exc}; the setting is DETECTOR_MEDIA_DIRS") from exc
        if path is None or not path.is_file():
            raise SourceLost(Code.CAMERA_UNREACHABLE, "there is no such video file; check the path")
        return str(path.resolve())
