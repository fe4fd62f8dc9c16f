"""RTSP over TCP and UDP, in every codec that cameras have, and no more decoded than is wanted."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

import pytest

from capture.errors import SourceRefused
from capture.pictures import Decoded, Encoded
from capture.sources.keyframes import Meter
from contract.settings import Settings
from tests.integration.capture.rtsp_camera import RtspCamera, encode
from tests.integration.capture.sources import number, playing


@pytest.fixture
def camera(request: pytest.FixtureRequest) -> Iterator[RtspCamera]:
    """An RTSP camera of the codec that the test names."""
    codec, options = request.param
    camera = RtspCamera(encode(640, 360, 40, codec, options), codec)
    camera.start()
    yield camera
    camera.stop()


H264: tuple[str, dict[str, str]] = ("libx264", {})
#: A key frame each 0.4 s.
OFTEN = ("libx264", {"x264-params": "repeat-headers=1:keyint=10:scenecut=0:bframes=0"})


@pytest.mark.parametrize("transport", ["tcp", "udp"])
@pytest.mark.parametrize(
    ("camera", "codec", "kind"),
    [(H264, "h264", Decoded), (("libx265", {}), "hevc", Decoded), (("mjpeg", {}), "mjpeg", Encoded)],
    indirect=["camera"],
)
def test_every_codec_comes_by_tcp_and_by_udp(
    settings: Settings, camera: RtspCamera, codec: str, kind: type, transport: str
) -> None:
    meter = Meter()

    with playing(settings, f"{camera.url}#transport={transport}", meter=meter) as pictures:
        got = list(islice(pictures, 8))

    assert camera.transports == [transport]
    numbers = [number(picture) for picture in got]
    assert numbers == list(range(numbers[0], numbers[0] + 8))
    assert {type(picture) for picture in got} == {kind}
    assert (meter.codec, meter.transport, meter.pictures) == (codec, transport, 8)
    assert not any("#" in asked for asked in camera.asked)


@pytest.mark.parametrize("camera", [H264], indirect=True)
def test_tcp_is_what_an_address_without_options_means(settings: Settings, camera: RtspCamera) -> None:
    with playing(settings, camera.url) as pictures:
        next(pictures)

    assert camera.transports == ["tcp"]


@pytest.mark.parametrize("options", ["transport=carrier-pigeon", "speed=5"])
def test_an_option_that_there_is_not_is_refused_with_those_that_there_are(settings: Settings, options: str) -> None:
    with (
        playing(settings, f"rtsp://127.0.0.1:1/cam#{options}") as pictures,
        pytest.raises(SourceRefused, match=r"option (transport|speed) of .*; known: transport \(tcp or udp"),
    ):
        next(pictures)


@pytest.mark.parametrize("camera", [OFTEN], indirect=True)
def test_of_a_camera_that_is_wanted_seldom_key_frames_are_decoded(settings: Settings, camera: RtspCamera) -> None:
    meter, wanted = Meter(), [1.0]

    with playing(settings, camera.url, wanted_fps=lambda: wanted[0], meter=meter) as pictures:
        next(picture for picture in pictures if meter.key_frames_only)
        assert [number(picture) % 10 for picture in islice(pictures, 2)] == [0, 0]

        wanted[0] = 25.0
        numbers = [number(picture) for picture in islice(pictures, 4)]

    assert numbers[0] % 10 != 0
    assert numbers == list(range(numbers[0], numbers[0] + 4))
