"""Sizes from JPEG headers, encoding, and the number that a test pattern carries."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from av import VideoFrame

from capture.pictures import JpegEncoder, jpeg_size
from capture.sources.synthetic import number_of, paint


@pytest.mark.parametrize(("width", "height"), [(64, 64), (640, 360), (1921, 1081)])
@pytest.mark.parametrize("progressive", [0, 1])
def test_the_size_is_read_from_the_header(width: int, height: int, progressive: int) -> None:
    image = np.zeros((height, width, 3), np.uint8)

    jpeg = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_PROGRESSIVE, progressive])[1].tobytes()

    assert jpeg_size(jpeg) == (width, height)


@pytest.mark.parametrize(
    "data", [b"", b"\xff\xd8", b"<html>no picture here</html>", b"\xff\xd8\xff\xe0\x00\x10" + bytes(14), b"\x89PNG" * 9]
)
def test_what_is_no_jpeg_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="JPEG"):
        jpeg_size(data)


def test_a_cut_header_never_hangs_or_leaks_another_error() -> None:
    jpeg = cv2.imencode(".jpg", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    whole = next(length for length in range(len(jpeg)) if jpeg[length : length + 2] == b"\xff\xc0")

    for length in range(whole):
        with pytest.raises(ValueError, match="JPEG"):
            jpeg_size(jpeg[:length])


@pytest.mark.parametrize("number", [0, 1, 1000, 65535])
def test_a_test_pattern_carries_its_number_through_encoding(number: int) -> None:
    frame = VideoFrame.from_ndarray(paint(number, 640, 360), format="bgr24").reformat(format="yuv420p")

    jpeg = JpegEncoder(85).encode(frame)

    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    assert number_of(image) == number
