"""Where annotated pictures go: a video, a folder, a picture, a page."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Protocol

import av
import cv2
import numpy as np

from cli.packages.footage import Footage, Shot
from cli.packages.page import Page
from cli.packages.texts import readable
from contract.errors import DetectorError
from mpta import Image

_VIDEOS = frozenset({".mp4", ".mkv", ".mov"})
_MS = Fraction(1, 1000)
_PAGE_QUALITY = 85


class CannotSave(DetectorError):
    """The pictures cannot be written there; the message says why."""


class Sink(Protocol):
    """Takes annotated pictures, in order."""

    def put(self, shot: Shot, canvas: Image) -> None:
        """Take one; `canvas` is `shot.image` with what was seen drawn on it."""
        ...

    def close(self) -> None:
        """Finish what was written."""
        ...


class PageSink:
    """Shows pictures on a page."""

    def __init__(self, page: Page) -> None:
        self._page = page

    def put(self, shot: Shot, canvas: Image) -> None:
        """Show it; see `Sink`."""
        del shot
        self._page.put(cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, _PAGE_QUALITY])[1].tobytes())

    def close(self) -> None:
        """Leave the page to whoever made it."""


class PictureSink:
    """Writes each picture to a file: into a folder under its own name, or one to the file itself."""

    def __init__(self, target: Path, *, is_folder: bool) -> None:
        self._target, self._is_folder = target, is_folder
        if is_folder:
            target.mkdir(parents=True, exist_ok=True)

    def put(self, shot: Shot, canvas: Image) -> None:
        """Write it; see `Sink`.

        Raises:
            CannotSave: OpenCV does not write that kind of file.
        """
        file = self._target / shot.name if self._is_folder else self._target
        try:
            written, content = cv2.imencode(file.suffix, canvas)
        except cv2.error:
            written = False
        if not written:
            raise CannotSave(f"{readable(file.name)}: pictures are not written so; name it .jpg or .png")
        file.write_bytes(content.tobytes())

    def close(self) -> None:
        """Do nothing: each file is finished when it is written."""


class VideoSink:
    """Writes H.264 with the times of the shots; what has another size than the first is scaled to it."""

    def __init__(self, target: Path, fps: float) -> None:
        self._container = av.open(str(target), "w", options={"movflags": "+faststart"})
        self._fps = Fraction(fps).limit_denominator(1001)
        self._stream: av.VideoStream | None = None
        self._last = -1

    def put(self, shot: Shot, canvas: Image) -> None:
        """Write it; see `Sink`."""
        stream = self._stream or self._begin(canvas)
        size = stream.width, stream.height
        if (canvas.shape[1] & ~1, canvas.shape[0] & ~1) == size:
            canvas = np.ascontiguousarray(canvas[: size[1], : size[0]])
        else:
            canvas = np.asarray(cv2.resize(canvas, size, interpolation=cv2.INTER_AREA), np.uint8)
        frame = av.VideoFrame.from_ndarray(canvas, format="bgr24")
        self._last = max(self._last + 1, round(shot.at_s * 1000))
        frame.pts, frame.time_base = self._last, _MS
        self._container.mux(stream.encode(frame))

    def close(self) -> None:
        """Write what the encoder holds back, and the index."""
        if self._stream is not None:
            self._container.mux(self._stream.encode(None))
        self._container.close()

    def _begin(self, canvas: Image) -> av.VideoStream:
        stream = self._container.add_stream("libx264", rate=self._fps)
        # Two pixels share a colour in each direction: sides are even.
        stream.width, stream.height, stream.pix_fmt = canvas.shape[1] & ~1, canvas.shape[0] & ~1, "yuv420p"
        stream.codec_context.time_base = _MS
        stream.options = {"preset": "veryfast", "crf": "23"}
        self._stream = stream
        return stream


def sink_for(target: Path, footage: Footage) -> Sink:
    """Return what writes this footage to `target`.

    Raises:
        CannotSave: the name does not fit what is to be written.
    """
    suffix = target.suffix.lower()
    if footage.kind != "pictures":
        if suffix not in _VIDEOS:
            raise CannotSave(f"{readable(target.name)}: a video is written; name it {', '.join(sorted(_VIDEOS))}")
        if not target.absolute().parent.is_dir():
            raise CannotSave(f"{readable(target.name)}: the folder that it should go to does not exist")
        return VideoSink(target, footage.fps)
    is_folder = target.is_dir() or not suffix
    if footage.total != 1 and not is_folder:
        raise CannotSave(f"{readable(target.name)}: many pictures are written; name a folder")
    return PictureSink(target, is_folder=is_folder)
