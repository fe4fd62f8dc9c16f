"""PyAV for all sources that it serves: opening with timeouts, decoding without lag, errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import av
from av import VideoFrame
from av.container import InputContainer

from capture.errors import SourceFailed, SourceLost, SourceRefused, lost, unauthorized
from contract.nodes import now_ms
from contract.problems import Code

#: So many packets in a row that cannot be decoded: the stream is broken, not merely damaged.
_DAMAGED_IN_A_ROW = 250

#: Packets arrive, but no frame comes of them: some cameras send a key frame each ten seconds only, none seldom.
_BARREN_S = 18.0

#: Between frames without a timestamp.
DEFAULT_PERIOD_S = 0.04


def open_container(url: str, options: Mapping[str, str], *, connect_s: float, read_s: float) -> InputContainer:
    """Open `url`, credentials and all.

    Raises:
        SourceLost, SourceRefused: without the URL, which PyAV's own errors hold.
    """
    began = time.monotonic()
    try:
        container = av.open(url, options=dict(options), timeout=(connect_s, read_s))
    except av.error.FFmpegError as exc:
        # `from None`: the original's text carries the password.
        raise failure(exc, played=False, waited_out=time.monotonic() - began > 0.9 * connect_s) from None
    if not container.streams.video:
        container.close()
        raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the stream has no video in it; name one that has")
    return container


def decoded(container: InputContainer) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (Unix ms of the frame's arrival, frame) until the stream ends; a frame that repeats another is left out.

    Raises:
        SourceLost: the stream broke or stayed silent.
    """
    stream = container.streams.video[0]
    # One thread: cameras are many, and threads that work ahead hold frames back.
    stream.codec_context.thread_count = 1
    played, damaged, last_pts = False, 0, None
    newest_s = time.monotonic()
    # Of RTSP, FFmpeg's parser hands a frame over when the next one begins to arrive: it is as old as the one before.
    one_behind = container.format.name == "rtsp"
    packets, read_ms = container.demux(stream), now_ms()
    while True:
        try:
            packet = next(packets)
            before_ms, read_ms = read_ms, now_ms()
            frames = packet.decode()
        except StopIteration:
            return
        except av.error.InvalidDataError as exc:
            damaged += 1
            if damaged >= _DAMAGED_IN_A_ROW:
                raise failure(exc, played=played, waited_out=False) from None
            continue
        except av.error.FFmpegError as exc:
            raise failure(exc, played=played, waited_out=False) from None
        for frame in frames:
            if frame.pts is None or frame.pts != last_pts:
                played, damaged, last_pts = True, 0, frame.pts
                yield before_ms if one_behind else read_ms, frame
                newest_s = time.monotonic()
        if time.monotonic() - newest_s > _BARREN_S:
            raise lost(played, "what the camera sends holds no new picture; restart it")


def paced(container: InputContainer, wait: Callable[[float], bool]) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (Unix ms of now, frame) of a recording at the pace of its timestamps, until it ends or `wait` says so."""
    began_s = time.monotonic()
    first_s: float | None = None
    at_s = 0.0
    for _, frame in decoded(container):
        at_s = frame.time if frame.time is not None else at_s + DEFAULT_PERIOD_S
        first_s = at_s if first_s is None else first_s
        if wait(max(0.0, began_s + at_s - first_s - time.monotonic())):
            return
        yield now_ms(), frame


def failure(exc: av.error.FFmpegError, *, played: bool, waited_out: bool) -> SourceFailed:
    """Return PyAV's error in our words, without the URL that its text holds."""
    match exc:
        case av.error.HTTPUnauthorizedError():
            return unauthorized(401)
        case av.error.HTTPForbiddenError():
            return unauthorized(403)
        case av.error.ExitError() | av.error.TimeoutError():
            return lost(played, "the camera stays silent; is it running, and is the network up?")
        case av.error.InvalidDataError() if waited_out or played:
            return lost(played, "the camera sends nothing that can be read; is it running?")
        case av.error.InvalidDataError():
            return SourceRefused(Code.CAMERA_UNSUPPORTED, "what the URL gives is no video; does it name a stream?")
        case av.error.ProtocolNotFoundError() | av.error.DemuxerNotFoundError() | av.error.DecoderNotFoundError():
            return SourceRefused(
                Code.CAMERA_UNSUPPORTED, f"this kind of stream cannot be read ({exc.strerror}); use RTSP with H.264"
            )
        case _:
            return SourceLost(
                Code.CAMERA_UNREACHABLE,
                f"no stream from the camera ({exc.strerror}); check its address and that it runs",
            )
