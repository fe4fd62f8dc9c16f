"""Of a stream no more is decoded than is wanted, and all of it at once when that rises."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import Any

import av
import pytest
from av import Packet, VideoFrame

from capture.rate import longest_gap_s
from capture.sources.keyframes import Decoder, Meter
from capture.sources.synthetic import number_of, paint

FPS = 10
#: A key frame each half second.
GOP = 5
FORCED = (0, 5, 10, 15)


def packets(count: int, keys: Iterable[int] = range(0, 1000, GOP), x264: str = "bframes=0") -> list[Packet[Any]]:
    """Return `count` numbered frames as H.264, key frames where `keys` says."""
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt, encoder.time_base = 320, 180, "yuv420p", Fraction(1, FPS)
    encoder.options = {"preset": "ultrafast", "x264-params": f"keyint=1000:scenecut=0:repeat-headers=1:{x264}"}
    made, keys = [], frozenset(keys)
    for number in range(count):
        frame = VideoFrame.from_ndarray(paint(number, 320, 180), format="bgr24")
        frame.pts, frame.time_base = number, encoder.time_base
        if number in keys:
            frame.pict_type = av.video.frame.PictureType.I
        made += encoder.encode(frame)
    made += encoder.encode(None)
    for packet in made:
        packet.time_base = encoder.time_base
    return made


class Camera:
    """A decoder, and how many pictures a second are wanted of it."""

    def __init__(self, wanted_fps: float = 1.0) -> None:
        self.wanted_fps, self.meter = wanted_fps, Meter()
        context = av.CodecContext.create("h264", "r")
        self.decoder = Decoder(context, self.meter, lambda: longest_gap_s(self.wanted_fps))

    def numbers(self, stream: Sequence[Packet[Any]]) -> list[int]:
        """Return the numbers of the pictures that come of these packets."""
        return [
            number_of(frame.to_ndarray(format="bgr24")) for packet in stream for frame in self.decoder.decode(packet)
        ]


def test_key_frames_alone_are_decoded_once_their_distance_is_known() -> None:
    camera = Camera()

    assert camera.numbers(packets(31)) == [*range(11), 15, 20, 25, 30]
    assert camera.meter.key_frames_only
    assert camera.meter.key_interval_s == pytest.approx(0.5)
    assert (camera.meter.codec, camera.meter.packets) == ("h264", 31)


@pytest.mark.parametrize("wanted_fps", [2.5, 10.0])
def test_all_is_decoded_while_key_frames_come_too_seldom(wanted_fps: float) -> None:
    camera = Camera(wanted_fps)

    assert camera.numbers(packets(31)) == list(range(31))
    assert not camera.meter.key_frames_only


def test_an_image_never_grows_older_than_a_second_however_seldom_one_is_wanted() -> None:
    assert Camera(0.1).numbers(packets(60, range(0, 60, 10)))[-2:] == [40, 50]
    assert Camera(0.1).numbers(packets(70, range(0, 70, 12)))[-2:] == [68, 69]


def test_a_wish_that_rises_is_met_at_once_with_a_whole_picture() -> None:
    camera, stream = Camera(), packets(40)
    assert camera.numbers(stream[:24])[-2:] == [15, 20]

    camera.wanted_fps = 10.0

    assert camera.numbers(stream[24:32]) == [24, 25, 26, 27, 28, 29, 30, 31]
    camera.wanted_fps = 1.0
    assert camera.numbers(stream[32:]) == [32, 33, 34, 35]


def test_a_wish_that_rises_with_a_key_frame_is_met_by_it() -> None:
    camera, stream = Camera(), packets(30, x264="bframes=2:b-adapt=0:open-gop=0")
    at = next(i for i, packet in enumerate(stream) if packet.is_keyframe and packet.pts == 20)
    camera.numbers(stream[:at])
    assert camera.meter.key_frames_only

    camera.wanted_fps = 10.0

    assert camera.numbers(stream[at:])[:3] == [20, 21, 22]


def test_a_key_frame_that_stays_away_is_not_waited_for() -> None:
    camera, stream = Camera(), packets(60, FORCED)

    numbers = camera.numbers(stream)

    # Due at 20; a second and a tenth after the last one all that was left out is decoded, and its newest shown.
    assert numbers == [*range(11), 15, *range(27, 60)]


def test_a_key_frame_is_shown_at_once_though_others_are_put_in_order() -> None:
    camera, stream = Camera(), packets(41, x264="bframes=2:b-adapt=0:open-gop=0")
    at = next(i for i, packet in enumerate(stream) if packet.is_keyframe and packet.pts == 30)
    camera.numbers(stream[:at])

    [frame] = camera.decoder.decode(stream[at])

    assert (number_of(frame.to_ndarray(format="bgr24")), frame.time) == (30, 3.0)


def test_a_stream_that_is_refreshed_bit_by_bit_is_decoded_whole() -> None:
    camera = Camera()
    stream = packets(60, (0,), "bframes=0:intra-refresh=1:keyint=5")
    assert sum(packet.is_keyframe for packet in stream) > 10

    numbers = camera.numbers(stream)

    assert numbers[-20:] == list(range(40, 60))


def test_a_new_connection_is_measured_anew() -> None:
    meter = Meter()
    camera = Camera()
    camera.meter = meter
    camera.decoder = Decoder(av.CodecContext.create("h264", "r"), meter, lambda: 1.0)
    camera.numbers(packets(31))

    again = Decoder(av.CodecContext.create("h264", "r"), meter, lambda: 1.0)

    assert (meter.packets, meter.key_interval_s, meter.key_frames_only) == (0, None, False)
    assert again.decode(packets(1)[0]) is not None
