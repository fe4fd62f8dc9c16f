"""Where `detector mpta run` takes its pictures from: files and folders in order, cameras always the newest."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from threading import Condition, Event, Thread
from typing import Literal, TypeAlias, cast
from urllib.parse import unquote, urlsplit

import cv2
import numpy as np

from capture.errors import SourceFailed
from capture.pictures import Encoded, Picture
from capture.sources.decoding import DEFAULT_PERIOD_S, decoded, open_container
from capture.sources.opening import make_source
from capture.sources.source import Opening
from cli.packages.texts import readable
from contract.errors import DetectorError
from contract.settings import Settings
from contract.urls import split_credentials
from mpta import Image

#: `pictures` have nothing to do with each other; a `recording` is run whole, of a `live` camera the newest frame is.
Kind: TypeAlias = Literal["pictures", "recording", "live"]
_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff"})
_LIVE_FPS = 25.0


class NoSource(DetectorError):
    """There is no picture to run; the message says why and what to do."""


@dataclass(frozen=True, slots=True, eq=False)
class Shot:
    """One picture.

    Attributes:
        name: of its file; empty in a recording and of a camera.
        at_s: seconds since the first one.
    """

    image: Image
    name: str
    at_s: float


@dataclass(frozen=True, slots=True, eq=False)
class Footage:
    """Pictures to come.

    Attributes:
        shots: to be closed by whoever stops before its end.
        total: how many; None when nobody knows.
        fps: frames per second, roughly.
    """

    kind: Kind
    shots: Generator[Shot]
    total: int | None = None
    fps: float = _LIVE_FPS


def open_footage(source: str, settings: Settings, stop: Event) -> Footage:
    """Return what a `--source` names; a camera is connected when its first picture is asked for.

    Raises:
        NoSource: there is no such file, or nothing in it that can be shown.
    """
    scheme, is_url, rest = source.partition("://")
    if is_url and scheme.lower() != "file":
        url, credentials = split_credentials(source)
        return Footage("live", _newest(_remote(url, credentials, settings, stop), stop, readable(url)))
    if source.isdecimal():
        return Footage("live", _newest(_webcam(int(source)), stop, f"webcam {source}"))
    path = Path(unquote(rest)) if is_url else Path(source)
    if path.is_dir():
        files = sorted(file for file in path.iterdir() if file.suffix.lower() in _SUFFIXES)
        if not files:
            raise NoSource(f"{readable(path.name)}: no pictures in this folder ({', '.join(sorted(_SUFFIXES))})")
        return Footage("pictures", _pictures(files), len(files), 1.0)
    if not path.is_file():
        raise NoSource(f"{readable(source)}: no such file or folder; a webcam is its number, a camera an rtsp:// URL")
    if path.suffix.lower() in _SUFFIXES:
        return Footage("pictures", _pictures([path]), 1, 1.0)
    return _recording(path)


def _pictures(files: list[Path]) -> Generator[Shot]:
    for number, file in enumerate(files):
        image = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
        if image is None:
            raise NoSource(f"{readable(file.name)}: is not a picture that can be decoded")
        yield Shot(cast("Image", image), file.name, float(number))


def _recording(path: Path) -> Footage:
    try:
        container = open_container(str(path), {"protocol_whitelist": "file"}, connect_s=5, read_s=5)
    except SourceFailed as exc:
        raise NoSource(f"{readable(path.name)}: no video or picture that can be read") from exc
    stream = container.streams.video[0]
    fps = float(stream.average_rate or 1 / DEFAULT_PERIOD_S)
    seconds = container.duration / 1e6 if container.duration else 0.0

    def shots() -> Generator[Shot]:
        first_s: float | None = None
        with closing(container):
            for number, (_, frame) in enumerate(decoded(container)):
                at_s = frame.time if frame.time is not None else number / fps
                first_s = at_s if first_s is None else first_s
                yield Shot(cast("Image", frame.to_ndarray(format="bgr24")), "", at_s - first_s)

    return Footage("recording", shots(), stream.frames or round(seconds * fps) or None, fps)


def _remote(url: str, credentials: str, settings: Settings, stop: Event) -> Generator[Picture]:
    """Yield a camera's pictures as capture would read them."""
    parts = urlsplit(url)
    is_picture = parts.scheme.lower() in {"http", "https"} and PurePosixPath(parts.path).suffix.lower() in _SUFFIXES
    opening = Opening(
        url=url,
        settings=settings,
        credentials=lambda: credentials,
        interval_s=lambda: settings.poll_interval_ms / 1000,
        wait=stop.wait,
    )
    return make_source("snapshot" if is_picture else "stream", opening).pictures()


def _webcam(number: int) -> Generator[Image]:
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # It writes warnings of its own to stderr.
    camera = cv2.VideoCapture(number)
    try:
        while True:
            given, image = camera.read()
            if not given:
                remedy = f"is one plugged in, free, and may this user read it (Linux: /dev/video{number})?"
                raise NoSource(f"no picture; {remedy}")
            yield cast("Image", image)
    finally:
        camera.release()


class _Slot:
    """The newest picture of a reader in another thread, and how that reader ended."""

    def __init__(self) -> None:
        self.changed = Condition()
        self.picture: tuple[float, Picture | Image] | None = None
        self.over = False
        self.failure: DetectorError | None = None

    def fill(self, pictures: Generator[Picture] | Generator[Image], stop: Event) -> None:
        """Read until the end; what nobody took is replaced."""
        try:
            with closing(pictures):
                for picture in pictures:
                    with self.changed:
                        self.picture = time.monotonic(), picture
                        self.changed.notify()
                    if stop.is_set():
                        return
        except DetectorError as exc:
            self.failure = exc
        finally:
            with self.changed:
                self.over = True
                self.changed.notify()

    def take(self, stop: Event) -> tuple[float, Picture | Image] | None:
        """Wait for a picture that was not taken yet; None at the end."""
        with self.changed:
            while self.picture is None and not self.over and not stop.is_set():
                self.changed.wait(0.2)
            taken, self.picture = self.picture, None
            return taken


def _newest(pictures: Generator[Picture] | Generator[Image], stop: Event, name: str) -> Generator[Shot]:
    """Yield what a camera shows whenever there is time for it; a slow pipeline sees fewer pictures, never old ones."""
    slot, ending = _Slot(), Event()
    Thread(target=slot.fill, args=(pictures, ending), name="camera", daemon=True).start()
    first_s: float | None = None
    try:
        for at_s, picture in iter(lambda: slot.take(stop), None):
            first_s = at_s if first_s is None else first_s
            image = _image(picture)
            if image is not None:
                yield Shot(image, "", at_s - first_s)
        if slot.failure is not None and not stop.is_set():
            raise NoSource(f"{name}: {slot.failure}") from slot.failure
    finally:
        ending.set()


def _image(picture: Picture | Image) -> Image | None:
    if isinstance(picture, np.ndarray):
        return picture
    if isinstance(picture, Encoded):
        return cast("Image | None", cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR))
    return cast("Image", picture.frame.to_ndarray(format="bgr24"))


def paced(shots: Iterator[Shot], stop: Event) -> Iterator[Shot]:
    """Yield recorded shots when they are due, for somebody who watches."""
    began_s = time.monotonic()
    for shot in shots:
        if stop.wait(max(0.0, began_s + shot.at_s - time.monotonic())):
            return
        yield shot
