"""A page on this machine that shows pictures as they come: what a window would be, which headless OpenCV lacks."""

from __future__ import annotations

import os
import secrets
import sys
import webbrowser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from types import TracebackType

_BOUNDARY = "picture"
_PAGE = b"""<!doctype html><html lang="en"><meta charset="utf-8"><title>detector mpta run</title>
<style>html,body{margin:0;height:100%;background:#10161f}img{width:100%;height:100%;object-fit:contain}</style>
<img src="pictures" alt="what the package sees">"""


class Page:
    """Serves a page on a free loopback port, below a path that nobody can guess, until it is closed."""

    def __init__(self) -> None:
        self._changed = Condition()
        self._jpeg, self._number, self._closed = b"", 0, False
        secret = secrets.token_urlsafe(16)
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                # Another site's name that leads here (DNS rebinding) is not one that we gave.
                if self.headers.get("Host") != f"127.0.0.1:{page.port}":
                    self.send_error(403)
                elif self.path == f"/{secret}/":
                    self._head("text/html; charset=utf-8")
                    self.wfile.write(_PAGE)
                elif self.path == f"/{secret}/pictures":
                    self._head(f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
                    page._send(self)
                else:
                    self.send_error(404)

            def _head(self, kind: str) -> None:
                self.send_response(200)
                self.send_header("Content-Type", kind)
                self.send_header("Cache-Control", "no-store")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                """Say nothing: the terminal belongs to the command."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}/{secret}/"

    def __enter__(self) -> Page:
        Thread(target=self._server.serve_forever, name="page", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def open_browser(self) -> bool:
        """Open the page where there is a desktop; return whether it did."""
        graphical = sys.platform in {"win32", "darwin"} or any(
            os.environ.get(d) for d in ("DISPLAY", "WAYLAND_DISPLAY")
        )
        # Without a desktop a browser for terminals would take over this one.
        return graphical and webbrowser.open(self.url)

    def put(self, jpeg: bytes) -> None:
        """Show a picture."""
        with self._changed:
            self._jpeg, self._number = jpeg, self._number + 1
            self._changed.notify_all()

    def _send(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the newest picture again and again; a slow browser misses some."""
        sent = 0
        while True:
            with self._changed:
                while self._number == sent and not self._closed:
                    self._changed.wait()
                if self._closed:
                    return
                jpeg, sent = self._jpeg, self._number
            head = f"--{_BOUNDARY}\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
            try:
                # The next part's delimiter goes along: browsers show a picture when they see where it ends.
                handler.wfile.write(head.encode() + jpeg + b"\r\n")
            except OSError:
                return
