"""A real HTTP server that gives packages, as well or badly as a test wants."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Ask = BaseHTTPRequestHandler


class Shop:
    """Serves one package at every path.

    Attributes:
        body, tag: what is served, and its ETag; no tag: none is sent.
        modified: Last-Modified; empty: none is sent.
        status: anything but 200 is the answer to all.
        cuts: how many bytes each of the next answers may send before its connection ends.
        ranges: whether Range is known here.
        misbehave: answers instead of all the rest.
        asked: (Range, If-None-Match or If-Modified-Since) of each request; answers: the status of each.
    """

    def __init__(self) -> None:
        self.body, self.tag, self.modified, self.status, self.ranges = b"first", '"1"', "", 200, True
        self.cuts: list[int] = []
        self.misbehave: Callable[[Ask], None] | None = None
        self.asked: list[tuple[str | None, str | None]] = []
        self.answers: list[int] = []
        self.credentials: list[str | None] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                condition = self.headers.get("If-None-Match") or self.headers.get("If-Modified-Since")
                shop.asked.append((self.headers.get("Range"), condition))
                shop.credentials.append(self.headers.get("Authorization"))
                try:
                    (shop.misbehave or shop._serve)(self)
                except (BrokenPipeError, ConnectionResetError):
                    return  # The other side had enough; that is what some tests are about.

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://user:secret@127.0.0.1:{self.port}/models/m.mpta"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def _serve(self, ask: Ask) -> None:
        same = bool(self.tag) and ask.headers.get("If-None-Match") == self.tag
        same |= bool(self.modified) and ask.headers.get("If-Modified-Since") == self.modified
        status = 304 if same and self.status == 200 else self.status
        start = 0
        asked = ask.headers.get("Range")
        if asked and self.ranges and status == 200 and ask.headers.get("If-Range") == self.tag:
            status, start = 206, int(asked.removeprefix("bytes=").removesuffix("-"))
        body = b"" if status == 304 else self.body[start:]
        self.answers.append(status)
        ask.send_response(status)
        for name, value in (("ETag", self.tag), ("Last-Modified", self.modified)):
            if value:
                ask.send_header(name, value)
        if status == 206:
            ask.send_header("Content-Range", f"bytes {start}-{len(self.body) - 1}/{len(self.body)}")
        ask.send_header("Content-Length", str(len(body)))
        ask.end_headers()
        ask.wfile.write(body[: self.cuts.pop(0)] if self.cuts and body else body)

    def close(self) -> None:
        """Close for good."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def shops() -> Iterator[Shop]:
    """A shop for a fixture."""
    opened = Shop()
    yield opened
    opened.close()
