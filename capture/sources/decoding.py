"""PyAV for all sources that it serves: opening with timeouts, decoding without lag, errors in our words."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping

import av
from av import Packet, VideoFrame
from av.container import InputContainer
from av.video.stream import VideoStream

from capture.errors import SourceFailed, SourceLost, SourceRefused, lost, unauthorized
from capture.pictures import is_jpeg
from capture.sources.keyframes import Decoder, Meter
from contract.nodes import now_ms
from contract.problems import Code

#: FFmpeg's name of a stream of JPEG pictures.
MJPEG = "mjpeg"

#: So many packets in a row that cannot be decoded: the stream is broken, not merely damaged.
_DAMAGED_IN_A_ROW = 250

#: Packets arrive, but no frame comes of them: some cameras send a key frame each ten seconds only, none seldom.
_BARREN_S = 18.0

#: Between frames without a timestamp.
DEFAULT_PERIOD_S = 0.04


def open_container(
    url: str, options: Mapping[str, str], *, connect_s: float, read_s: float, device: str | None = None
) -> InputContainer:
    """Open `url`, credentials and all; `device` is FFmpeg's name of its kind where it names one.

    Raises:
        SourceLost, SourceRefused: without the URL, which PyAV's own errors hold.
    """
    began = time.monotonic()
    try:
        container = av.open(url, options=dict(options), format=device, timeout=(connect_s, read_s))
    except av.error.FFmpegError as exc:
        # `from None`: the original's text carries the password.
        raise failure(exc, played=False, waited_out=time.monotonic() - began > 0.9 * connect_s) from None
    if not container.streams.video:
        container.close()
        raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the stream has no video in it; name one that has")
    return container


def decoded(
    container: InputContainer, meter: Meter | None = None, longest_gap_s: Callable[[], float] = lambda: 0.0
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (Unix ms of the frame's arrival, frame) until the stream ends; a frame that repeats another is left out.

    Frames are left out, too, where those that remain come at least each `longest_gap_s()` seconds.

    Raises:
        SourceLost: the stream broke or stayed silent.
    """
    meter = meter or Meter()
    decoder = Decoder(container.streams.video[0].codec_context, meter, longest_gap_s)
    damaged, last_pts = 0, None
    newest_s = time.monotonic()
    for arrived_ms, packet in _packets(container, meter):
        try:
            frames = decoder.decode(packet)
        except av.error.InvalidDataError as exc:
            damaged += 1
            if damaged >= _DAMAGED_IN_A_ROW:
                raise failure(exc, played=meter.pictures > 0, waited_out=False) from None
            continue
        except av.error.FFmpegError as exc:
            raise failure(exc, played=meter.pictures > 0, waited_out=False) from None
        for frame in frames:
            if frame.pts is None or frame.pts != last_pts:
                meter.pictures, damaged, last_pts = meter.pictures + 1, 0, frame.pts
                yield arrived_ms, frame
                newest_s = time.monotonic()
        if time.monotonic() - newest_s > _BARREN_S:
            raise lost(meter.pictures > 0, "what the camera sends holds no new picture; restart it")


def passed_through(container: InputContainer, meter: Meter) -> Iterator[tuple[int, bytes]]:
    """Yield (Unix ms of its arrival, JPEG) of each picture of an MJPEG stream, untouched, until the stream ends.

    Raises:
        SourceLost: the stream broke or stayed silent.
    """
    meter.opened(MJPEG)
    newest_s = time.monotonic()
    for arrived_ms, packet in _packets(container, meter):
        jpeg = bytes(packet)
        if is_jpeg(jpeg):
            meter.count(packet, arrived_ms / 1000)
            meter.pictures += 1
            yield arrived_ms, jpeg
            newest_s = time.monotonic()
        elif time.monotonic() - newest_s > _BARREN_S:
            raise lost(meter.pictures > 0, "what the camera sends holds no new picture; restart it")


def _packets(container: InputContainer, meter: Meter) -> Iterator[tuple[int, Packet[VideoStream]]]:
    """Yield (Unix ms of its arrival, packet) of the video."""
    stream = container.streams.video[0]
    # Of RTSP, FFmpeg's parser hands a frame over when the next one begins to arrive: it is as old as the one before.
    one_behind = container.format.name == "rtsp" and stream.codec_context.name != MJPEG
    packets, read_ms = container.demux(stream), now_ms()
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as exc:
            raise failure(exc, played=meter.pictures > 0, waited_out=False) from None
        before_ms, read_ms = read_ms, now_ms()
        yield before_ms if one_behind else read_ms, packet


def paced(
    frames: Iterator[tuple[int, VideoFrame]], wait: Callable[[float], bool], fps: float | None = None
) -> Iterator[tuple[int, VideoFrame]]:
    """Yield (Unix ms of now, frame) of a recording until it ends or `wait` says so.

    At the pace of its timestamps, or `fps` frames a second whatever they say.
    """
    began_s = time.monotonic()
    first_s: float | None = None
    at_s = 0.0
    for number, (_, frame) in enumerate(frames):
        stamp_s = frame.time if fps is None else number / fps
        at_s = stamp_s if stamp_s is not None else at_s + DEFAULT_PERIOD_S
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
