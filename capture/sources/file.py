"""Video files that play like a camera: at their own pace, again from the start when they end."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from math import inf
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from capture.errors import SourceEnded, SourceLost, SourceRefused
from capture.pictures import Decoded, Picture
from capture.rate import longest_gap_s
from capture.sources.decoding import DEFAULT_PERIOD_S, decoded, open_container, paced
from capture.sources.folder import Folder
from capture.sources.options import Options, split_options
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.problems import Code
from contract.urls import local_path


class FileOptions(Options):
    """Options of the address of a file or folder."""

    fps: Annotated[float, Field(gt=0, le=1000)] | Literal["max"] | None = Field(
        None, description="pictures a second, or max; unset: a file's own pace, of a folder as wanted"
    )
    loop: bool = Field(True, description="false: once")


class File:
    """A `file://` URL or plain path of a video or a folder below the operator's media directories."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def pictures(self) -> Generator[Picture]:
        """Yield the file's frames, or the folder's pictures, when they are due."""
        address, options = split_options(self._opening.url, FileOptions)
        path, fps = self._path(address), inf if options.fps == "max" else options.fps
        if path.is_dir():
            yield from Folder(self._opening, path, loop=options.loop).pictures(fps)
        else:
            yield from self._frames(path, fps, loop=options.loop)

    def _frames(self, path: Path, fps: float | None, *, loop: bool) -> Generator[Decoded]:
        wait = self._opening.wait
        while True:
            empty = True
            with closing(open_container(str(path), {"protocol_whitelist": "file"}, connect_s=5, read_s=5)) as container:
                # Of a file that is read at another pace each frame counts.
                frames = decoded(container, self._opening.meter, self._longest_gap_s if fps is None else lambda: 0.0)
                for captured_ms, frame in paced(frames, wait, fps):
                    empty = False
                    yield Decoded(captured_ms, frame)
            # Also the pause that keeps a file of one frame from spinning.
            if wait(DEFAULT_PERIOD_S):
                return
            if empty:
                raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the file holds no frame that can be decoded")
            if not loop:
                raise SourceEnded

    def _longest_gap_s(self) -> float:
        return longest_gap_s(self._opening.wanted_fps())

    def _path(self, address: str) -> Path:
        try:
            path = local_path(address, self._opening.settings.media_dirs)
        except UrlRefused as exc:
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"{exc}; the setting is DETECTOR_MEDIA_DIRS") from exc
        if path is None or not path.exists():
            raise SourceLost(Code.CAMERA_UNREACHABLE, "there is no such file or folder; check the path")
        return path.resolve()
