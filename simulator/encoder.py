"""One camera's H.264, cut into RTP packets by libavformat."""

from __future__ import annotations

import base64
import io
from fractions import Fraction

import av
import av.video.stream
from av.video.frame import PictureType

from simulator.marks import Image

#: Dynamic RTP payload type that the session description ties to H.264.
PAYLOAD_TYPE = 96
_PACKET_BYTES = "1400"
#: RTCP sender reports come out of the same muxer; their type 200 looks like this in RTP's seven bits.
_SENDER_REPORT = 200 & 0x7F


class _Packets(io.RawIOBase):
    """A file that remembers each write: the RTP muxer writes one packet at a time."""

    def __init__(self) -> None:
        super().__init__()
        self.taken: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: bytes, /) -> int:  # type: ignore[override]  # typeshed's Buffer; PyAV hands over bytes
        self.taken.append(bytes(data))
        return len(data)


class Encoder:
    """H.264 as a camera sends it: no B-frames, parameter sets with every key frame, a key frame each second."""

    def __init__(self, width: int, height: int, fps: int) -> None:
        """Open the encoder; frames must have `width` and `height` pixels, even numbers."""
        self._sink = _Packets()
        self._time_base = Fraction(1, fps)
        self._muxer = av.open(
            self._sink, "w", format="rtp", buffer_size=4096, options={"packetsize": _PACKET_BYTES, "payload_type": "96"}
        )
        stream = self._muxer.add_stream("libx264", rate=fps)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.time_base = self._time_base
        stream.options = {
            "preset": "ultrafast",
            "tune": "zerolatency",
            "crf": "23",
            "x264-params": f"keyint={fps}:min-keyint=1:scenecut=0:repeat-headers=1:bframes=0",
        }
        self._stream = stream

    def encode(self, image: Image, number: int, *, key: bool) -> tuple[list[bytes], bool]:
        """Return the RTP packets of an image (H, W, 3) BGR and whether a decoder can start at them.

        Args:
            image: the picture.
            number: its frame number, which becomes its RTP time; greater than the one before.
            key: make it a key frame.
        """
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = number, self._time_base
        if key:
            frame.pict_type = PictureType.I
        self._sink.taken = []
        starts = False
        for packet in self._stream.encode(frame):
            starts |= packet.is_keyframe
            self._muxer.mux(packet)
        return [p for p in self._sink.taken if p[1] & 0x7F != _SENDER_REPORT], starts

    def close(self) -> None:
        """Free the encoder."""
        self._muxer.close()


def parameter_sets(width: int, height: int, fps: int) -> str:
    """Return the `sprop-parameter-sets` of such a stream: SPS and PPS, so that a client knows the size at once."""
    encoder = av.CodecContext.create("libx264", "w")
    assert isinstance(encoder, av.VideoCodecContext)
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = Fraction(1, fps)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "crf": "23", "x264-params": "bframes=0"}
    encoder.flags |= av.codec.context.Flags.global_header
    encoder.open()
    units = (encoder.extradata or b"").split(b"\x00\x00\x00\x01")[1:]
    sets = [unit for unit in units if unit and unit[0] & 0x1F in (7, 8)]
    return ",".join(base64.b64encode(unit).decode() for unit in sets)
