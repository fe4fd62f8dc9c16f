"""An RTSP camera on loopback: 25 frames/s over TCP or UDP, and the faults that tests want of it."""

from __future__ import annotations

import io
import re
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import cast

import av
import numpy as np
from av.video.stream import VideoStream
from numpy.typing import NDArray

from capture.sources.synthetic import paint
from contract.nodes import now_ms

FPS = 25
_RTCP = 72
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=t\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP {type}\r\na=rtpmap:{type} {name}/90000\r\n{fmtp}a=control:track0\r\n"
)
#: How a description names what each encoder makes.
_MEDIA: Mapping[str, Mapping[str, object]] = {
    "libx264": {"type": 96, "name": "H264", "fmtp": "a=fmtp:96 packetization-mode=1\r\n"},
    "libx265": {"type": 96, "name": "H265", "fmtp": ""},
    "mjpeg": {"type": 26, "name": "JPEG", "fmtp": ""},
}
_OPTIONS: Mapping[str, Mapping[str, str]] = {
    "libx264": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": "repeat-headers=1:keyint=25:bframes=0",
    },
    "libx265": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x265-params": "repeat-headers=1:keyint=25:bframes=0:log-level=error",
    },
    # One thread: each more would cut pictures into slices, which RTP as FFmpeg packs it cannot carry.
    "mjpeg": {"huffman": "default", "threads": "1"},
}


class _Tee(io.RawIOBase):
    """Keeps what FFmpeg's RTP muxer writes, packet by packet."""

    def __init__(self) -> None:
        super().__init__()
        self.packets: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        packet = bytes(cast("bytes", data))
        if packet[1] & 0x7F != _RTCP:
            self.packets.append(packet)
        return len(packet)


def encode(
    width: int, height: int, count: int, codec: str = "libx264", options: Mapping[str, str] | None = None
) -> list[list[bytes]]:
    """Return the RTP packets of each of `count` numbered frames (`capture.sources.synthetic.paint`).

    H.264 and H.265 have a key frame each second; `options` go to the encoder.
    """
    return encode_images([paint(number, width, height) for number in range(count)], codec, options)


def encode_images(
    images: Sequence[NDArray[np.uint8]], codec: str = "libx264", options: Mapping[str, str] | None = None
) -> list[list[bytes]]:
    """Return the RTP packets of each image, BGR and all of one shape."""
    height, width, _ = images[0].shape
    tee = _Tee()
    muxer = av.open(tee, "w", format="rtp", options={"packetsize": "1400"}, buffer_size=4096)
    stream = cast("VideoStream", muxer.add_stream(codec, rate=FPS))
    stream.width, stream.height = width, height
    stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
    stream.options = {**_OPTIONS[codec], **(options or {})}
    frames = []
    for number, image in enumerate(images):
        frame = av.VideoFrame.from_ndarray(image, format="bgr24")
        frame.pts, frame.time_base = number, Fraction(1, FPS)
        tee.packets = []
        for packet in stream.encode(frame):
            muxer.mux(packet)
        frames.append(tee.packets)
    return frames


class RtspCamera:
    """Plays `frames` in a loop to whoever asks.

    Attributes:
        refusal: the status line answered to DESCRIBE instead of a description, or "".
        silent: connected, but no more packets.
        sent: number of the frame that was sent last. sent_ms: when each was sent last, Unix ms.
        asked: what was asked for, in order: method and address.
        transports: how each client wanted its packets, tcp or udp.
        connections: opened so far. open: open now.
    """

    def __init__(self, frames: list[list[bytes]], codec: str = "libx264") -> None:
        self.asked: list[str] = []
        self.transports: list[str] = []
        self._description = _SDP.format(**_MEDIA[codec])
        self.refusal, self.silent = "", False
        self.connections = self.open = self.sent = 0
        self.sent_ms = [0] * len(frames)
        self._frames = frames
        self._port = 0
        self._listener: socket.socket | None = None
        self._clients: list[socket.socket] = []
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Address of the stream."""
        return f"rtsp://127.0.0.1:{self._port}/cam"

    def start(self) -> None:
        """Begin to listen, on the same port as before when there was one."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._spawn(self._accept, self._listener)

    def stop(self) -> None:
        """End all connections and listen no more."""
        if self._listener is not None:
            self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
        for client in self._clients:
            _hang_up(client)
        for thread in self._threads:
            thread.join(5)
        self._clients, self._threads = [], []

    def _spawn(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._clients.append(client)
            self._spawn(self._serve, client)

    def _serve(self, client: socket.socket) -> None:
        self.open += 1
        send = _interleaved(client)
        with client, client.makefile("rb") as requests, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            try:
                while request := _read_request(requests):
                    self.asked.append(f"{request.method} {request.address}")
                    transport = f"Transport: {request.transport}"
                    if request.method == "SETUP" and request.client_port:
                        send = _datagrams(datagrams, request.client_port)
                        port = datagrams.getsockname()[1]
                        transport += f";server_port={port}-{port + 1}"
                    client.sendall(self._answer(request, transport))
                    if request.method == "SETUP":
                        self.transports.append("udp" if request.client_port else "tcp")
                    if request.method == "PLAY":
                        self._spawn(self._play, client, send)
            except OSError:
                pass
            finally:
                self.open -= 1
                _hang_up(client)

    def _answer(self, request: _Request, transport: str) -> bytes:
        status, headers, body = "200 OK", "Session: 1;timeout=60\r\n", ""
        if request.method == "OPTIONS":
            headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif request.method == "DESCRIBE" and self.refusal:
            status, headers = self.refusal, 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif request.method == "DESCRIBE":
            body = self._description
            headers = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
        elif request.method == "SETUP":
            headers += f"{transport}\r\n"
        return f"RTSP/1.0 {status}\r\nCSeq: {request.cseq}\r\n{headers}\r\n{body}".encode()

    def _play(self, client: socket.socket, send: Callable[[bytes], None]) -> None:
        started_s, number, sequence = time.monotonic(), 0, 0
        try:
            while True:
                time.sleep(max(0.0, started_s + number / FPS - time.monotonic()))
                while self.silent:
                    time.sleep(0.02)
                    client.getpeername()
                stamp = (number * 90_000 // FPS & 0xFFFFFFFF).to_bytes(4, "big")
                for packet in self._frames[number % len(self._frames)]:
                    rtp = packet[:2] + (sequence & 0xFFFF).to_bytes(2, "big") + stamp + packet[8:]
                    send(rtp)
                    sequence += 1
                self.sent = number % len(self._frames)
                self.sent_ms[self.sent] = now_ms()
                number += 1
        except OSError:
            return


@dataclass(frozen=True, slots=True)
class _Request:
    """One request; `client_port` is 0 where packets shall come over the connection itself."""

    method: str
    address: str
    cseq: str
    transport: str

    @property
    def client_port(self) -> int:
        found = re.search(r"client_port=(\d+)", self.transport)
        return int(found[1]) if found else 0


def _read_request(requests: io.BufferedReader) -> _Request | None:
    """Return the next request, past whatever RTCP comes between; None: hung up."""
    while (first := requests.read(1)) == b"$":
        requests.read(int.from_bytes(requests.read(3)[1:], "big"))
    lines = [first + requests.readline()]
    while lines[-1].strip():
        lines.append(requests.readline())
    if not lines[0].strip():
        return None
    fields = {name.lower(): value.strip() for name, _, value in (line.decode().partition(":") for line in lines[1:])}
    method, address, _ = lines[0].decode().split()
    return _Request(method, address, fields.get("cseq", "0"), fields.get("transport", ""))


def _interleaved(client: socket.socket) -> Callable[[bytes], None]:
    """Return what sends an RTP packet over the connection itself."""
    return lambda rtp: client.sendall(b"$\0" + len(rtp).to_bytes(2, "big") + rtp)


def _datagrams(sender: socket.socket, port: int) -> Callable[[bytes], None]:
    """Return what sends an RTP packet to a port here."""

    def send(rtp: bytes) -> None:
        sender.sendto(rtp, ("127.0.0.1", port))

    return send


def _hang_up(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
