"""An HTTP camera on loopback: snapshots, MJPEG, logins, and the faults that tests want of it."""

from __future__ import annotations

import base64
import hashlib
import select
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import eventually

_CHALLENGES = {"basic": 'Basic realm="camera"', "digest": 'Digest realm="camera", nonce="n1", qop="auth"'}


def _knows(authorization: str, login: tuple[str, str]) -> bool:
    """Say whether the header proves that its sender knows the login."""
    scheme, _, rest = authorization.partition(" ")
    if scheme == "Basic":
        return base64.b64decode(rest).decode() == ":".join(login)
    said = urllib.request.parse_keqv_list(urllib.request.parse_http_list(rest))
    if not said:
        return False
    first, second = _md5(f"{login[0]}:camera:{login[1]}"), _md5(f"GET:{said['uri']}")
    return said["response"] == _md5(f"{first}:n1:{said['nc']}:{said['cnonce']}:auth:{second}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


class HttpCamera:
    """Serves `/snapshot.jpg`, `/turning.jpg` and `/video.mjpeg` with what its attributes say at that moment.

    Attributes:
        pictures: shown in turn, by a stream each `interval_s`; `/snapshot.jpg` is always the first of them.
        status: answered instead of a picture unless it is 200.
        login: (user, password) that are asked for, or None. scheme: how: basic or digest.
        redirect: where all requests are sent, or "". heard: the Authorization headers that came.
        clip: what `/clip.ts` gives. dribbling: pictures come byte by byte.
        tagged: pictures carry an ETag, and who has the picture is told so. unmodified: so often that was told.
        connections: opened so far. open: open now. requests: answered so far.
    """

    def __init__(self, pictures: list[bytes]) -> None:
        self.pictures = pictures
        self.status = 200
        self.login: tuple[str, str] | None = None
        self.scheme, self.redirect, self.clip, self.dribbling = "basic", "", b"", False
        self.heard: list[str] = []
        self.interval_s = 0.04
        self.with_lengths, self.tagged, self.unmodified = True, False, 0
        self.connections = self.open = self.requests = 0
        self._server: ThreadingHTTPServer | None = None
        self._port = 0
        self._ending = threading.Event()

    def url(self, path: str) -> str:
        """Return the address of `path` on this camera."""
        return f"http://127.0.0.1:{self._port}{path}"

    def start(self) -> None:
        """Begin to serve, on the same port as before when there was one."""
        self._ending.clear()
        self._server = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self._port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()

    def stop(self) -> None:
        """End all connections and listen no more."""
        self._ending.set()
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None
        self.wait_until_left(within_s=5)

    def wait_until_left(self, within_s: float) -> None:
        """Fail unless all connections are closed within so many seconds."""
        eventually(lambda: self.open == 0, within_s)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        camera = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle(self) -> None:
                camera.connections += 1
                camera.open += 1
                try:
                    super().handle()
                except ConnectionError:
                    pass
                finally:
                    camera.open -= 1

            def handle_one_request(self) -> None:
                while not camera._ending.is_set():
                    if select.select([self.connection], [], [], 0.05)[0]:
                        return super().handle_one_request()
                self.close_connection = True
                return None

            def do_GET(self) -> None:
                camera.requests += 1
                camera.heard += self.headers.get_all("Authorization", [])
                if camera.redirect:
                    self._answer(302, b"", ("Location", camera.redirect))
                elif camera.login is not None and not _knows(self.headers.get("Authorization", ""), camera.login):
                    self._answer(401, b"", ("WWW-Authenticate", _CHALLENGES[camera.scheme]))
                elif camera.status != 200:
                    self._answer(camera.status, b"")
                elif self.path == "/clip.ts":
                    self._answer(200, camera.clip, ("Content-Type", "video/mp2t"))
                elif self.path == "/video.mjpeg":
                    self._play()
                elif self.path == "/turning.jpg":
                    self._show(camera.pictures[camera.requests % len(camera.pictures)])
                else:
                    self._show(camera.pictures[0])

            def _show(self, picture: bytes) -> None:
                tag = f'"{_md5(picture.hex())}"'
                if camera.tagged and self.headers.get("If-None-Match") == tag:
                    camera.unmodified += 1
                    self._answer(304, b"", ("ETag", tag))
                else:
                    tags = [("ETag", tag)] if camera.tagged else []
                    self._answer(200, picture, ("Content-Type", "image/jpeg"), *tags)

            def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                step = 1 if camera.dribbling else max(1, len(body))
                for begin in range(0, len(body), step):
                    self.wfile.write(body[begin : begin + step])
                    camera._ending.wait(0.1 if camera.dribbling else 0)

            def _play(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "multipart/x-mixed-replace; boundary=--cut")
                self.end_headers()
                self.close_connection = True
                number = 0
                while not camera._ending.is_set():
                    picture = camera.pictures[number % len(camera.pictures)]
                    length = f"Content-Length: {len(picture)}\r\n" if camera.with_lengths else ""
                    head = f"--cut\r\nContent-Type: image/jpeg\r\n{length}\r\n"
                    self.wfile.write(head.encode() + picture + b"\r\n")
                    number += 1
                    time.sleep(camera.interval_s)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
