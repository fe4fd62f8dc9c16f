"""What a stream is made of, seen as it passes, and decoding no more of it than is wanted.

A key frame can be decoded by itself; every other frame takes all of them back to the one before. Of a camera that is
wanted once a second and sends a key frame each second, nothing else is decoded: an eighth of the work
(`python -m benchmarks.capture`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from av import Packet, VideoFrame
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType
from av.video.stream import VideoStream

#: Distances between key frames that are known: the longest counts, and of fewer than two none.
_KNOWN, _FEWEST = 4, 2
#: Key frames may come so much later than a picture is wanted: cameras' clocks are not ours.
_TOLERANCE = 1.1


@dataclass(slots=True)
class Meter:
    """What came through a connection so far.

    Attributes:
        codec: FFmpeg's name of it, "" until it is known. transport: what the packets travel by, "" where it is plain.
        packets, size_bytes: that came. pictures: that came of them.
        key_frames_only: whether nothing else is decoded now.
    """

    codec: str = ""
    transport: str = ""
    packets: int = 0
    size_bytes: int = 0
    pictures: int = 0
    key_frames_only: bool = False
    _key_s: float | None = None
    _gaps_s: deque[float] = field(default_factory=lambda: deque(maxlen=_KNOWN))

    @property
    def key_interval_s(self) -> float | None:
        """Longest of the last distances between two key frames, in seconds of the stream; None: not known yet."""
        return max(self._gaps_s) if len(self._gaps_s) >= _FEWEST else None

    def opened(self, codec: str) -> None:
        """Begin with a new connection: it may have other key frames."""
        self.codec, self.key_frames_only = codec, False
        self.packets = self.size_bytes = self.pictures = 0
        self._key_s = None
        self._gaps_s.clear()

    def count(self, packet: Packet[VideoStream], at_s: float) -> None:
        """Count a packet of `at_s`, seconds of the stream."""
        self.packets += 1
        self.size_bytes += packet.size
        if not packet.is_keyframe:
            return
        if self._key_s is not None and at_s > self._key_s:
            self._gaps_s.append(at_s - self._key_s)
        self._key_s = at_s

    def since_key_s(self, at_s: float) -> float:
        """Return how long before `at_s` the last key frame came."""
        return at_s - self._key_s if self._key_s is not None else 0.0


class Decoder:
    """Decodes a stream's packets: all of them, or its key frames alone while these come often enough.

    What is left out is kept until the next key frame, so that a wish that rises, or a key frame that stays away, is
    met at once. That is little: key frames that come seldom are not enough, and then nothing is left out.

    Args:
        longest_gap_s: returns the time between two pictures that will do, in seconds; may change.
    """

    def __init__(self, context: VideoCodecContext, meter: Meter, longest_gap_s: Callable[[], float]) -> None:
        # One thread: cameras are many, and threads that work ahead hold frames back.
        context.thread_count = 1
        self._context, self._meter, self._longest_gap_s = context, meter, longest_gap_s
        self._left_out: list[Packet[VideoStream]] = []
        # Of a stream that is refreshed bit by bit, what is called a key frame is none.
        self._whole = True
        self._key_pts: int | None = None
        meter.opened(context.name)

    def decode(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """Return the pictures that `packet` completes.

        Raises:
            av.error.FFmpegError: it cannot be decoded.
        """
        if not packet.size:
            # The end of the stream: what the decoder still holds is older than the last key frame.
            return [] if self._meter.key_frames_only else self._drained(packet)
        at_s = _seconds(packet)
        self._meter.count(packet, at_s)
        enough = self._are_enough(at_s)
        if packet.is_keyframe:
            self._left_out.clear()
            self._key_pts = packet.pts
            if enough or self._meter.key_frames_only:
                # What it still holds is older; and once it was made to give that out it takes nothing more.
                self._context.flush_buffers()
            self._meter.key_frames_only = enough
        if not self._meter.key_frames_only:
            return self._seen(self._context.decode(packet))
        self._left_out.append(packet)
        if not enough:
            return self._catch_up()
        # A decoder that puts frames in order would keep this one until it has seen later ones.
        return (self._context.decode(packet) or self._drained(packet)) if packet.is_keyframe else []

    def _are_enough(self, at_s: float) -> bool:
        interval_s, longest_s = self._meter.key_interval_s, _TOLERANCE * self._longest_gap_s()
        return self._whole and interval_s is not None and max(interval_s, self._meter.since_key_s(at_s)) <= longest_s

    def _seen(self, frames: list[VideoFrame]) -> list[VideoFrame]:
        """Look whether the last key frame, when it comes out, can be decoded by itself."""
        if any(frame.pts == self._key_pts and frame.pict_type != PictureType.I for frame in frames):
            self._whole = False
        return frames

    def _drained(self, packet: Packet[VideoStream]) -> list[VideoFrame]:
        """Return what the decoder still holds, in the time of `packet`."""
        frames = self._context.decode(None)
        for frame in frames:
            frame.time_base = packet.time_base
        return frames

    def _catch_up(self) -> list[VideoFrame]:
        """Decode what was left out, and from now on all; return the newest picture."""
        self._meter.key_frames_only = False
        self._context.flush_buffers()
        frames = [frame for packet in self._left_out for frame in self._context.decode(packet)]
        self._left_out.clear()
        return frames[-1:]


def _seconds(packet: Packet[VideoStream]) -> float:
    """Return when a packet is due in seconds of its stream; of our clock where it does not say."""
    stamp = packet.pts if packet.pts is not None else packet.dts
    return float(stamp * packet.time_base) if stamp is not None and packet.time_base else time.monotonic()
