"""What a camera is: read as capture reads it, for a few seconds, and measured."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice

from capture.errors import SinglePicture, SourceFailed, SourceLost
from capture.inspection import Flaw, Inspector
from capture.pacing import Pacer
from capture.pictures import Decoded, Encoded, JpegEncoder, Picture, jpeg_size
from capture.sources.keyframes import Meter
from capture.sources.opening import make_source
from capture.sources.source import Opening
from contract.problems import Code
from contract.settings import Settings

#: Fewer pictures in a second than this are published of no stream (`capture.rate`).
_LEAST_FPS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What was seen of a camera.

    Attributes:
        kind: stream, or snapshot where the address gives one picture at a time.
        codec: FFmpeg's name of it, jpeg, or raw of what is painted here. transport: what its packets come by.
        width, height: pixels.
        fps: pictures a second that the camera sends; of a snapshot, those that differ from the one before.
        key_interval_s: longest distance between key frames; None: every picture stands alone, or too few were seen.
        kbit_s: of the video; None where nothing is transmitted.
        first_ms: from the beginning of connecting to the first picture.
        needs_credentials: None: none were given, and none were asked for.
        does: what capture does with it: pass through, key frames, decode all.
        cpu: share of one core that reading, encoding and inspecting it took, at `wanted_fps`.
        flaw: what its picture suffers from.
        jpeg: the last picture.
    """

    kind: str
    codec: str
    transport: str
    width: int
    height: int
    fps: float
    key_interval_s: float | None
    kbit_s: float | None
    first_ms: float
    needs_credentials: bool | None
    does: str
    wanted_fps: float
    cpu: float
    flaw: Flaw | None
    jpeg: bytes


class _Measurement:
    """Takes a camera's pictures as `capture.reader` does, but for publishing them."""

    def __init__(self, settings: Settings, meter: Meter, wanted_fps: float) -> None:
        self._meter = meter
        self._encoder, self._inspector = JpegEncoder(settings.jpeg_quality), Inspector(frozen_s=0)
        self._pacer = Pacer(max(_LEAST_FPS, wanted_fps))
        self._began_s = self._now_s = time.monotonic()
        self.first_s: float | None = None
        self.pictures = self.changes = self.size_bytes = 0
        self.newest: Picture | None = None
        self.jpeg = b""
        self._begin_cpu()

    def _begin_cpu(self) -> None:
        self._key_frames_only = self._meter.key_frames_only
        self._cpu_s, self._cpu_since_s = time.thread_time(), time.monotonic()

    def take(self, picture: Picture) -> None:
        """Take the next picture."""
        self._now_s = time.monotonic()
        if self.first_s is None:
            self.first_s = self._now_s
            self._begin_cpu()
        elif self._meter.key_frames_only is not self._key_frames_only:
            self._begin_cpu()
        self.newest = picture
        self.pictures += 1
        if isinstance(picture, Encoded):
            self.changes += not picture.unchanged
            self.size_bytes += len(picture.jpeg)
        if not self._pacer.due(self._now_s):
            return
        self.jpeg = picture.jpeg if isinstance(picture, Encoded) else self._encoder.encode(picture.frame)
        self._inspector.look(self.jpeg, self._now_s)

    @property
    def flaw(self) -> Flaw | None:
        return self._inspector.flaw

    @property
    def cpu(self) -> float:
        """Share of one core since what is decoded last changed."""
        return (time.thread_time() - self._cpu_s) / max(time.monotonic() - self._cpu_since_s, 1e-3)

    @property
    def first_ms(self) -> float:
        return ((self.first_s or self._now_s) - self._began_s) * 1000

    def per_second(self, count: int) -> float:
        """Return a count of what came, the first at no time, as a rate."""
        seconds = self._now_s - (self.first_s or self._now_s)
        return max(0, count - 1) / seconds if seconds > 0 else 0.0


def probe(
    url: str, settings: Settings, *, credentials: str = "", wanted_fps: float = 10.0, seconds: float = 6.0
) -> Probe:
    """Return what the camera at `url`, which holds no credentials, shows within so many seconds.

    Raises:
        SourceFailed: it gives no picture; the text is one sentence.
    """
    until_s = time.monotonic() + settings.connect_timeout_seconds + seconds
    opening = Opening(
        url=url,
        settings=settings,
        credentials=lambda: credentials,
        interval_s=lambda: 1 / wanted_fps,
        wait=_waiting(until_s),
        wanted_fps=lambda: wanted_fps,
    )
    kind = "stream"
    try:
        seen = _watch(kind, opening, wanted_fps, seconds)
    except SinglePicture:
        kind = "snapshot"
        seen = _watch(kind, opening, wanted_fps, seconds)
    needed = _refuses_without(kind, opening) if credentials else None
    return _result(kind, opening, seen, needed, wanted_fps)


def _waiting(until_s: float) -> Callable[[float], bool]:
    def wait(seconds: float) -> bool:
        time.sleep(max(0.0, min(seconds, until_s - time.monotonic())))
        return time.monotonic() >= until_s

    return wait


def _watch(kind: str, opening: Opening, wanted_fps: float, seconds: float) -> _Measurement:
    seen = _Measurement(opening.settings, opening.meter, wanted_fps)
    try:
        with closing(make_source(kind, opening).pictures()) as pictures:
            for picture in pictures:
                seen.take(picture)
                if seen.first_s is not None and time.monotonic() - seen.first_s >= seconds:
                    break
    except SourceFailed:
        # A recording may be shorter, and of what came all can be told.
        if seen.newest is None:
            raise
    if seen.newest is None:
        raise SourceLost(Code.CAMERA_UNREACHABLE, "the camera gave no picture in time")
    return seen


def _refuses_without(kind: str, opening: Opening) -> bool:
    """Return whether the camera refuses who gives no password."""
    stranger = replace(opening, credentials=str, wait=lambda _: False, meter=Meter())
    try:
        with closing(make_source(kind, stranger).pictures()) as pictures:
            return not list(islice(pictures, 1))
    except SourceFailed as exc:
        return exc.code is Code.CAMERA_UNAUTHORIZED


def _result(kind: str, opening: Opening, seen: _Measurement, needed: bool | None, wanted_fps: float) -> Probe:
    meter, newest = opening.meter, seen.newest
    if isinstance(newest, Decoded):
        width, height = newest.frame.width, newest.frame.height
        does = "key frames" if meter.key_frames_only else "decode all"
    else:
        width, height = jpeg_size(seen.jpeg)
        does = "pass through"
    packets = meter.packets > 0
    size_bytes, count = (meter.size_bytes, meter.packets) if packets else (seen.size_bytes, seen.changes)
    fps = seen.per_second(count if packets or seen.size_bytes else seen.pictures)
    return Probe(
        kind=kind,
        codec=meter.codec or ("jpeg" if seen.size_bytes else "raw"),
        transport=meter.transport or opening.url.partition("://")[0].lower() * ("://" in opening.url) or "file",
        width=width,
        height=height,
        fps=fps,
        key_interval_s=meter.key_interval_s if does != "pass through" else None,
        kbit_s=fps * size_bytes / count * 8 / 1000 if size_bytes and count else None,
        first_ms=seen.first_ms,
        needs_credentials=needed,
        does=does,
        wanted_fps=wanted_fps,
        cpu=seen.cpu,
        flaw=seen.flaw,
        jpeg=seen.jpeg,
    )
