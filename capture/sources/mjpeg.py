"""MJPEG over HTTP: the pictures of a multipart answer, their bytes untouched.

Our own parser and not FFmpeg's: cameras spell the boundary with and without its dashes, leave Content-Length out, or
write headers that FFmpeg's demuxer refuses.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import closing
from email.message import Message

import httpx

from capture.errors import SinglePicture, SourceRefused, lost
from capture.pictures import MAX_PICTURE_BYTES, Encoded, Picture, is_jpeg
from capture.sources import http
from capture.sources.rtsp import Stream
from capture.sources.source import Opening
from contract.nodes import now_ms
from contract.problems import Code

#: Parts in a row that are no JPEG pictures: it is not an MJPEG stream.
_BAD_IN_A_ROW = 10


class Multipart:
    """Cuts a multipart body into its parts, as its bytes come in."""

    def __init__(self, boundary: bytes) -> None:
        # Some cameras put the dashes that belong before the boundary into its name.
        self._delimiter = b"--" + boundary.strip(b'"').removeprefix(b"--")
        self._pending = bytearray()

    def feed(self, data: bytes) -> Iterator[bytes]:
        """Take more of the body; yield the content of each part that is complete now.

        Raises:
            SourceRefused: a part is larger than any picture.
        """
        self._pending += data
        while (part := self._cut()) is not None:
            yield part
        if len(self._pending) > MAX_PICTURE_BYTES:
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the stream's parts are no pictures; does it name MJPEG?")

    def _cut(self) -> bytes | None:
        start = self._pending.find(self._delimiter)
        if start < 0:
            return None
        head_end, gap = self._end_of_headers(start)
        if head_end < 0:
            return None
        begin = head_end + gap
        length = _content_length(bytes(self._pending[start:head_end]))
        if length is not None:
            end = begin + length
            rest = end
        else:
            rest = self._pending.find(self._delimiter, begin)
            end = rest
        if end < 0 or len(self._pending) < end:
            return None
        part = bytes(self._pending[begin:end])
        del self._pending[:rest]
        return part if length is not None else part.removesuffix(b"\n").removesuffix(b"\r")

    def _end_of_headers(self, start: int) -> tuple[int, int]:
        """Return (where the part's headers end, length of the empty line there), or (-1, 0)."""
        ends = [(self._pending.find(gap, start), len(gap)) for gap in (b"\r\n\r\n", b"\n\n")]
        return min((end for end in ends if end[0] >= 0), default=(-1, 0))


def _content_length(headers: bytes) -> int | None:
    for line in headers.splitlines():
        name, _, value = line.partition(b":")
        if name.strip().lower() == b"content-length" and value.strip().isdigit():
            return int(value)
    return None


class HttpStream:
    """An `http(s)://` stream: MJPEG when the answer says multipart, else left to PyAV."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def pictures(self) -> Generator[Picture]:
        """Yield the pictures as they come; of several that came at once, the newest."""
        with http.client(self._opening) as client:
            with http.in_our_words(played=False):
                request = client.build_request("GET", self._opening.url, headers={"Accept": "*/*"})
                response = client.send(request, stream=True)
            with closing(response):
                http.check(response)
                kind, boundary = _content_type(response)
                if kind.startswith("image/"):
                    raise SinglePicture
                if kind.startswith("multipart/"):
                    yield from _parts(response, Multipart(boundary), 2 * self._opening.settings.read_timeout_seconds)
                    return
        yield from Stream(self._opening).pictures()


def _content_type(response: httpx.Response) -> tuple[str, bytes]:
    """Return (media type in lower case, boundary)."""
    message = Message()
    message["content-type"] = response.headers.get("content-type", "")
    return message.get_content_type(), (message.get_boundary() or "").encode()


def _parts(response: httpx.Response, multipart: Multipart, patience_s: float) -> Generator[Encoded]:
    """Yield the newest part of each read; lose patience with a stream of which no whole picture comes."""
    chunks, played, bad, newest_s = response.iter_raw(), False, 0, time.monotonic()
    while True:
        with http.in_our_words(played):
            chunk = next(chunks, None)
        if chunk is None:
            return
        arrived_ms = now_ms()
        newest = None
        for part in multipart.feed(chunk):
            newest, bad = (part, 0) if is_jpeg(part) else (newest, bad + 1)
        if bad >= _BAD_IN_A_ROW:
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, "the stream's parts are no JPEG pictures; name MJPEG")
        if newest is not None:
            played = True
            yield Encoded(arrived_ms, newest)
            newest_s = time.monotonic()
        elif time.monotonic() - newest_s > patience_s:
            raise lost(played, "the camera takes too long to send a picture; choose a smaller one")
