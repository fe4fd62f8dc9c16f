"""Which source reads which address."""

from __future__ import annotations

from collections.abc import Callable

from capture.sources.file import File
from capture.sources.mjpeg import HttpStream
from capture.sources.rtsp import Stream
from capture.sources.snapshot import Snapshot
from capture.sources.source import Opening, Source
from capture.sources.synthetic import Synthetic
from capture.sources.webcam import Webcam

#: Streams by scheme; a scheme that is not here is left to `Stream`, which says what it can read.
_STREAMS: dict[str, Callable[[Opening], Source]] = {
    "": File,
    "file": File,
    "http": HttpStream,
    "https": HttpStream,
    "synthetic": Synthetic,
    "webcam": Webcam,
}


def make_source(kind: str, opening: Opening) -> Source:
    """Return the source of a camera of `kind` (`contract.subscriptions.Source`); nothing is opened yet."""
    if kind == "snapshot":
        return Snapshot(opening)
    scheme, sep, _ = opening.url.partition("://")
    return _STREAMS.get(scheme.lower() if sep else "", Stream)(opening)
