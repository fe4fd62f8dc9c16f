"""What goes over an RTSP connection: requests, responses and the session description."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from simulator.encoder import PAYLOAD_TYPE, parameter_sets
from simulator.feed import Feed
from simulator.view import HEIGHT_PX, WIDTH_PX

_REASONS = {
    200: "OK",
    400: "Bad Request",
    404: "Not Found",
    454: "Session Not Found",
    455: "Method Not Valid in This State",
    461: "Unsupported Transport",
    501: "Not Implemented",
}
_HEAD_BYTES = 16_384


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One RTSP request; header names in lower case."""

    method: str
    url: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What is answered; `headers` lack CSeq, which the connection adds."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: str = ""

    def encode(self, sequence: str) -> bytes:
        """Return the bytes on the wire."""
        lines = [f"RTSP/1.0 {self.status} {_REASONS[self.status]}", f"CSeq: {sequence}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.body:
            lines.append(f"Content-Length: {len(self.body.encode())}")
        return ("\r\n".join(lines) + "\r\n\r\n" + self.body).encode()


class RequestInvalid(Exception):
    """The bytes are no RTSP request; the connection is answered 400 and closed."""


def read_request(read: Callable[[int], bytes], readline: Callable[[int], bytes]) -> Request | None:
    """Return the next request, skipping interleaved packets (the client's RTCP); None when the client hung up.

    Raises:
        RequestInvalid: not RTSP.
    """
    while True:
        first = read(1)
        if first != b"$":
            break
        channel_and_size = read(3)
        read(int.from_bytes(channel_and_size[1:3], "big"))
    if not first:
        return None
    lines = [first + readline(_HEAD_BYTES)]
    while lines[-1] not in (b"\r\n", b"\n"):
        lines.append(readline(_HEAD_BYTES))
        if not lines[-1]:
            return None
        if sum(map(len, lines)) > _HEAD_BYTES:
            raise RequestInvalid("request head too long")
    words = lines[0].decode("latin-1").split()
    if len(words) != 3 or not words[2].startswith("RTSP/"):
        raise RequestInvalid(f"not an RTSP request: {lines[0][:60]!r}")
    pairs = (line.decode("latin-1").partition(":") for line in lines[1:-1])
    headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
    body = headers.get("content-length", "0")
    if not body.isdecimal() or int(body) > _HEAD_BYTES:
        raise RequestInvalid(f"bad Content-Length: {body[:20]!r}")
    read(int(body))
    return Request(method=words[0], url=words[1], headers=headers)


def describe(feed: Feed) -> str:
    """Return the session description (RFC 4566) of a camera."""
    sets = parameter_sets(WIDTH_PX, HEIGHT_PX, feed.fps)
    lines = (
        "v=0",
        "o=- 0 0 IN IP4 127.0.0.1",
        f"s={feed.name}",
        "c=IN IP4 0.0.0.0",
        "t=0 0",
        "a=control:*",
        f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
        f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
        f"a=fmtp:{PAYLOAD_TYPE} packetization-mode=1;sprop-parameter-sets={sets}",
        f"a=framerate:{feed.fps}",
        "a=control:trackID=0",
    )
    return "\r\n".join(lines) + "\r\n"


def camera_of(url: str) -> str:
    """Return the camera's name in an RTSP URL, with or without the track."""
    path = re.sub(r"^rtsp://[^/]*", "", url, flags=re.IGNORECASE).split("?")[0]
    return re.sub(r"/trackID=0$", "", path.rstrip("/")).strip("/")
