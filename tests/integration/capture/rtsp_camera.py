"""An RTSP camera on loopback: H.264 over TCP at 25 frames/s, and the faults that tests want of it."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Callable
from typing import cast

import av

from capture.sources.synthetic import paint
from contract.nodes import now_ms

FPS = 25
_RTCP = 72
_SDP = (
    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=t\r\nc=IN IP4 0.0.0.0\r\nt=0 0\r\na=control:*\r\n"
    "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\na=fmtp:96 packetization-mode=1\r\na=control:track0\r\n"
)


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


def encode(width: int, height: int, count: int) -> list[list[bytes]]:
    """Return the RTP packets of each of `count` numbered frames (`capture.sources.synthetic.paint`)."""
    tee = _Tee()
    muxer = av.open(tee, "w", format="rtp", options={"packetsize": "1400"}, buffer_size=4096)
    stream = muxer.add_stream("libx264", rate=FPS)
    stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
    stream.options = {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "x264-params": "repeat-headers=1:keyint=25:bframes=0",
    }
    frames = []
    for number in range(count):
        frame = av.VideoFrame.from_ndarray(paint(number, width, height), format="bgr24")
        frame.pts = number
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
        connections: opened so far. open: open now.
    """

    def __init__(self, frames: list[list[bytes]]) -> None:
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
        with client, client.makefile("rb") as requests:
            try:
                while request := _read_request(requests):
                    method, cseq = request
                    client.sendall(self._answer(method, cseq))
                    if method == "PLAY":
                        self._spawn(self._play, client)
            except OSError:
                pass
            finally:
                self.open -= 1
                _hang_up(client)

    def _answer(self, method: str, cseq: str) -> bytes:
        status, headers, body = "200 OK", "Session: 1;timeout=60\r\n", ""
        if method == "OPTIONS":
            headers = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
        elif method == "DESCRIBE" and self.refusal:
            status, headers = self.refusal, 'WWW-Authenticate: Basic realm="camera"\r\n'
        elif method == "DESCRIBE":
            headers, body = f"Content-Type: application/sdp\r\nContent-Length: {len(_SDP)}\r\n", _SDP
        elif method == "SETUP":
            headers += "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n"
        return f"RTSP/1.0 {status}\r\nCSeq: {cseq}\r\n{headers}\r\n{body}".encode()

    def _play(self, client: socket.socket) -> None:
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
                    client.sendall(b"$\0" + len(rtp).to_bytes(2, "big") + rtp)
                    sequence += 1
                self.sent = number % len(self._frames)
                self.sent_ms[self.sent] = now_ms()
                number += 1
        except OSError:
            return


def _read_request(requests: io.BufferedReader) -> tuple[str, str] | None:
    """Return (method, CSeq) of the next request, past whatever RTCP comes between; None: hung up."""
    while (first := requests.read(1)) == b"$":
        requests.read(int.from_bytes(requests.read(3)[1:], "big"))
    lines = [first + requests.readline()]
    while lines[-1].strip():
        lines.append(requests.readline())
    if not lines[0].strip():
        return None
    cseq = next((line.partition(b":")[2] for line in lines if line.lower().startswith(b"cseq")), b"0")
    return lines[0].split()[0].decode(), cseq.strip().decode()


def _hang_up(client: socket.socket) -> None:
    try:
        client.shutdown(socket.SHUT_RDWR)
    except OSError:
        return
