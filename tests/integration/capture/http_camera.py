"""An HTTP camera on loopback: snapshots, MJPEG, logins, and the faults that tests want of it."""

from __future__ import annotations

import io
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers import eventually


class HttpCamera:
    """Serves `/snapshot.jpg` and `/video.mjpeg` with what its attributes say at that moment.

    Attributes:
        pictures: shown in turn; a snapshot is always the first of them.
        status: answered instead of a picture unless it is 200.
        login: the Authorization header that is asked for (basic), or None.
        connections: opened so far. open: open now. requests: answered so far.
    """

    def __init__(self, pictures: list[bytes]) -> None:
        self.pictures = pictures
        self.status = 200
        self.login: str | None = None
        self.with_lengths = True
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
            rfile: io.BufferedReader
            timeout = 0.1

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
                    try:
                        if not self.rfile.peek(1):
                            break
                        return super().handle_one_request()
                    except TimeoutError:
                        continue
                self.close_connection = True
                return None

            def do_GET(self) -> None:
                camera.requests += 1
                if camera.login is not None and self.headers.get("Authorization") != camera.login:
                    self._answer(401, b"", ("WWW-Authenticate", 'Basic realm="camera"'))
                elif camera.status != 200:
                    self._answer(camera.status, b"")
                elif self.path == "/video.mjpeg":
                    self._play()
                else:
                    self._answer(200, camera.pictures[0], ("Content-Type", "image/jpeg"))

            def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
                self.send_response(status)
                for name, value in headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

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
                    time.sleep(0.04)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
