"""RTSP requests as bytes, and what must not crash the server."""

from __future__ import annotations

import io

import pytest

from simulator.rtsp_messages import Request, RequestInvalid, Response, camera_of, read_request


def read(data: bytes) -> Request | None:
    stream = io.BytesIO(data)
    return read_request(stream.read, stream.readline)


def test_a_request_is_read_with_its_headers() -> None:
    request = read(b"SETUP rtsp://h/cam1 RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP\r\n\r\n")

    assert request is not None
    assert (request.method, request.url) == ("SETUP", "rtsp://h/cam1")
    assert request.headers == {"cseq": "3", "transport": "RTP/AVP/TCP"}


def test_interleaved_packets_of_the_client_are_skipped() -> None:
    request = read(b"$\x01\x00\x04rtcp" + b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n\r\n")

    assert request is not None
    assert request.method == "OPTIONS"


def test_a_hang_up_is_no_request() -> None:
    assert read(b"") is None
    assert read(b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\n") is None


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n\r\n",
        b"nonsense\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n" + b"X: y\r\n" * 5000 + b"\r\n",
        b"OPTIONS * RTSP/1.0\r\nContent-Length: -1\r\n\r\n",
    ],
)
def test_what_is_no_rtsp_is_refused(data: bytes) -> None:
    with pytest.raises(RequestInvalid):
        read(data)


@pytest.mark.parametrize(
    "url",
    ["rtsp://h:8554/cam1", "RTSP://h/cam1/", "rtsp://h/cam1/trackID=0", "rtsp://h/cam1?token=1", "/cam1"],
)
def test_the_camera_is_the_path_of_the_url(url: str) -> None:
    assert camera_of(url) == "cam1"


def test_a_response_carries_its_sequence_number_and_length() -> None:
    assert Response(status=200, body="v=0").encode("7") == b"RTSP/1.0 200 OK\r\nCSeq: 7\r\nContent-Length: 3\r\n\r\nv=0"
