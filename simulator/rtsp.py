"""An RTSP 1.0 server (RFC 2326) for live H.264, interleaved in the TCP connection (section 10.12).

    rtsp://host:port/{camera}     DESCRIBE SETUP PLAY TEARDOWN OPTIONS GET_PARAMETER SET_PARAMETER

UDP is refused with 461: a camera on loopback gains nothing by it, and clients then ask for TCP.
"""

from __future__ import annotations

import contextlib
import logging
import re
import secrets
import socket
import threading
from collections.abc import Callable, Mapping

from simulator.feed import Feed, Viewer
from simulator.rtsp_messages import Request, RequestInvalid, Response, camera_of, describe, read_request

log = logging.getLogger(__name__)

_METHODS = "OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN, GET_PARAMETER, SET_PARAMETER"
_SESSION_TIMEOUT_S = 60


class RtspServer:
    """Accepts clients and runs one connection each, on threads of its own."""

    def __init__(self, feeds: Mapping[str, Feed], host: str, port: int) -> None:
        """Store; port 0 picks a free one at `start`."""
        self._feeds, self._host, self._port = feeds, host, port
        self._listener: socket.socket | None = None
        self._connections: set[_Connection] = set()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen; return the bound port.

        Raises:
            OSError: the port is taken, or the host is not one of ours.
        """
        self._listener = socket.create_server((self._host, self._port))
        self._thread = threading.Thread(target=self._accept, args=(self._listener,), name="rtsp", daemon=True)
        self._thread.start()
        return int(self._listener.getsockname()[1])

    def stop(self) -> None:
        """Close the listener and every connection, and wait for their threads."""
        if self._listener is None or self._thread is None:
            return
        # A blocked accept is woken by shutdown, not by close.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()
        with self._lock:
            connections = list(self._connections)
        for connection in connections:
            connection.close()
        for connection in connections:
            connection.join()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            connection = _Connection(client, self._feeds, self._forget)
            with self._lock:
                self._connections.add(connection)
            connection.start()

    def _forget(self, connection: _Connection) -> None:
        with self._lock:
            self._connections.discard(connection)


class _Connection:
    """One client: a thread reads requests, and once it plays another one sends frames."""

    def __init__(self, client: socket.socket, feeds: Mapping[str, Feed], ended: Callable[[_Connection], None]) -> None:
        self._socket, self._feeds, self._ended = client, feeds, ended
        self._write = threading.Lock()
        self._session = ""
        self._feed: Feed | None = None
        self._channel = 0
        self._stop = threading.Event()
        self._reader = threading.Thread(target=self._read, name="rtsp-client", daemon=True)
        self._player: threading.Thread | None = None

    def start(self) -> None:
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._reader.start()

    def close(self) -> None:
        self._stop.set()
        # Shutdown, not close: it wakes the threads that are inside recv or send.
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def join(self) -> None:
        self._reader.join()

    def _read(self) -> None:
        incoming = self._socket.makefile("rb")
        try:
            while not self._stop.is_set() and (request := read_request(incoming.read, incoming.readline)):
                response = self._answer(request)
                self._send(response.encode(request.headers.get("cseq", "0")))
                if request.method == "PLAY" and response.status == 200 and self._feed and not self._player:
                    self._player = threading.Thread(target=self._play, args=(self._feed,), daemon=True)
                    self._player.start()
                elif request.method == "TEARDOWN":
                    break
        except RequestInvalid as exc:
            log.info("rtsp client: %s", exc)
            with contextlib.suppress(OSError):
                self._send(Response(status=400).encode("0"))
        except OSError as exc:
            log.debug("rtsp client: %s", exc)
        finally:
            self.close()
            if self._player:
                self._player.join()
            incoming.close()
            self._socket.close()
            self._ended(self)

    def _play(self, feed: Feed) -> None:
        with feed.watch("rtp") as viewer:
            try:
                self._stream(viewer)
            except OSError as exc:
                log.debug("%s: rtsp client gone: %s", feed.name, exc)
        self.close()

    def _stream(self, viewer: Viewer) -> None:
        head = b"$" + bytes((self._channel,))
        while not self._stop.is_set():
            frame = viewer.next_frame(0.5)
            if frame is not None:
                self._send(b"".join(head + len(p).to_bytes(2, "big") + p for p in frame.packets))

    def _send(self, data: bytes) -> None:
        with self._write:
            self._socket.sendall(data)

    def _answer(self, request: Request) -> Response:
        feed = self._feeds.get(camera_of(request.url))
        match request.method:
            case "OPTIONS":
                return Response(status=200, headers={"Public": _METHODS})
            case "DESCRIBE" | "SETUP" if feed is None:
                return Response(status=404)
            case "DESCRIBE" if feed:
                base = {"Content-Type": "application/sdp", "Content-Base": request.url.rstrip("/") + "/"}
                return Response(status=200, headers=base, body=describe(feed))
            case "SETUP" if feed:
                return self._set_up(feed, request.headers.get("transport", ""))
            case "PLAY" | "TEARDOWN" | "GET_PARAMETER" | "SET_PARAMETER":
                return self._in_session(request)
            case _:
                return Response(status=501, headers={"Allow": _METHODS})

    def _set_up(self, feed: Feed, transport: str) -> Response:
        """Take the first transport that is interleaved TCP; clients may list several."""
        offers = [offer for offer in transport.split(",") if "RTP/AVP/TCP" in offer]
        if not offers:
            return Response(status=461)
        if self._player:
            return Response(status=455)
        wanted = re.search(r"interleaved=(\d{1,3})", offers[0])
        self._channel = min(int(wanted[1]), 254) if wanted else 0
        self._feed, self._session = feed, self._session or secrets.token_hex(8)
        return Response(
            status=200,
            headers={
                "Transport": f"RTP/AVP/TCP;unicast;interleaved={self._channel}-{self._channel + 1}",
                "Session": f"{self._session};timeout={_SESSION_TIMEOUT_S}",
            },
        )

    def _in_session(self, request: Request) -> Response:
        named = request.headers.get("session", "").split(";")[0]
        if request.method == "GET_PARAMETER" and not named:
            return Response(status=200)  # A client's keep-alive before SETUP.
        if not self._session or named != self._session:
            return Response(status=454)
        headers = {"Session": self._session}
        if request.method == "PLAY":
            headers["RTP-Info"] = f"url={request.url.rstrip('/')}/trackID=0"
        return Response(status=200, headers=headers)
