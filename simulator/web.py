"""The cameras over HTTP: pictures, motion JPEG, the truth, and a page that shows it all.

    GET /                            the page
    GET /{camera}.jpg                a picture made for this request
    GET /{camera}.mjpg               multipart/x-mixed-replace, a JPEG per part, until the client leaves
    GET /truth/{camera}?at_ms=N      truth of the newest frame at or before Unix ms N; without at_ms the newest
Pictures carry the headers X-Frame-Number and X-Frame-Ms (Unix ms), the keys to their truth.
"""

from __future__ import annotations

import html
import json
import logging
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PurePosixPath
from urllib.parse import parse_qs, urlsplit

from simulator.feed import Feed, Frame

log = logging.getLogger(__name__)

_BOUNDARY = "frame"
#: A feed needs about 0.3 s to draw its scene before the first frame.
_FIRST_FRAME_S = 10.0


class WebServer:
    """Serves the feeds on threads of its own."""

    def __init__(self, feeds: Mapping[str, Feed], host: str, port: int, urls: Callable[[], Mapping[str, str]]) -> None:
        """Store; port 0 picks a free one at `start`. `urls` gives each camera's address for the page."""
        self._feeds, self._host, self._port, self._urls = feeds, host, port, urls
        self._server: _Server | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> int:
        """Listen; return the bound port.

        Raises:
            OSError: the port is taken, or the host is not one of ours.
        """
        self._server = _Server((self._host, self._port), self._feeds, self._urls)
        serve = self._server.serve_forever
        self._thread = threading.Thread(target=serve, args=(0.05,), name="web", daemon=True)
        self._thread.start()
        return int(self._server.server_address[1])

    def stop(self) -> None:
        """Stop listening. Running responses end with their feeds, so stop those first."""
        if self._server and self._thread:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 32

    def __init__(
        self, address: tuple[str, int], feeds: Mapping[str, Feed], urls: Callable[[], Mapping[str, str]]
    ) -> None:
        super().__init__(address, _Request)
        self.feeds, self.urls = feeds, urls


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server
    #: Seconds that a client may keep a connection open, or a send waiting, without a byte.
    timeout = 10

    def do_GET(self) -> None:
        """Answer one request."""
        url = urlsplit(self.path)
        path = PurePosixPath(url.path)
        feed = self.server.feeds.get(path.stem if path.suffix else path.name)
        try:
            if url.path == "/":
                self._reply(HTTPStatus.OK, "text/html; charset=utf-8", page(self.server.urls()).encode())
            elif feed is None:
                self._fail(HTTPStatus.NOT_FOUND, f"no camera at {url.path}; GET / lists them")
            elif path.parent.name == "truth":
                self._truth(feed, parse_qs(url.query).get("at_ms", [""])[0])
            elif path.suffix == ".jpg":
                self._snapshot(feed)
            elif path.suffix == ".mjpg":
                self._motion(feed)
            else:
                self._fail(HTTPStatus.NOT_FOUND, f"{url.path}: ask for .jpg or .mjpg")
        except (ConnectionError, TimeoutError) as exc:
            log.debug("%s: http client gone: %s", self.path, exc)
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server uses
        """Send http.server's lines to our log instead of stderr."""
        log.debug("http: " + format, *args)

    def _snapshot(self, feed: Feed) -> None:
        with feed.watch("picture") as viewer:
            frame = viewer.next_frame(_FIRST_FRAME_S)
        if frame is None:
            self._fail(HTTPStatus.SERVICE_UNAVAILABLE, f"{feed.name} gives no frame")
            return
        self._reply(HTTPStatus.OK, "image/jpeg", frame.jpeg, _marks(frame))

    def _motion(self, feed: Feed) -> None:
        self.close_connection = True
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", f"multipart/x-mixed-replace; boundary={_BOUNDARY}")
        self.send_header("Cache-Control", "no-store")
        self.send_header("Connection", "close")
        self.end_headers()
        with feed.watch("picture") as viewer:
            while frame := viewer.next_frame(_FIRST_FRAME_S):
                lines = [f"--{_BOUNDARY}", "Content-Type: image/jpeg", f"Content-Length: {len(frame.jpeg)}"]
                lines += [f"{name}: {value}" for name, value in _marks(frame).items()]
                self.wfile.write(("\r\n".join(lines) + "\r\n\r\n").encode() + frame.jpeg + b"\r\n")

    def _truth(self, feed: Feed, at_ms: str) -> None:
        if at_ms and not (at_ms.isdecimal() and len(at_ms) < 16):
            self._fail(HTTPStatus.BAD_REQUEST, "at_ms is not a number of milliseconds")
            return
        record = feed.truth.at(int(at_ms) if at_ms else None)
        if record is None:
            self._fail(HTTPStatus.NOT_FOUND, f"{feed.name} sent no frame by then, or over five minutes ago")
            return
        self._reply(HTTPStatus.OK, "application/json", json.dumps(record).encode())

    def _fail(self, status: HTTPStatus, sentence: str) -> None:
        self._reply(status, "text/plain; charset=utf-8", (sentence + "\n").encode())

    def _reply(self, status: HTTPStatus, kind: str, body: bytes, headers: Mapping[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)


def _marks(frame: Frame) -> dict[str, str]:
    return {"X-Frame-Number": str(frame.number), "X-Frame-Ms": str(frame.at_ms)}


def page(urls: Mapping[str, str]) -> str:
    """Return the page that lists the cameras with their addresses and shows their pictures, once a second."""
    figures = "".join(
        f'<figure><img src="/{html.escape(name)}.jpg" alt=""><figcaption><b>{html.escape(name)}</b> '
        f'<code>{html.escape(url)}</code> <a href="/truth/{html.escape(name)}">truth</a></figcaption></figure>'
        for name, url in urls.items()
    )
    return f"""<!doctype html><html lang="en"><meta charset="utf-8"><title>Forecourt cameras</title>
<style>body{{font:15px system-ui;margin:2rem;background:#16181b;color:#e6e6e6}}main{{display:grid;gap:1.2rem;
grid-template-columns:repeat(auto-fit,minmax(420px,1fr))}}figure{{margin:0}}img{{width:100%;border-radius:8px}}
a{{color:#8ab4f8}}</style><h1>Forecourt cameras</h1><main>{figures}</main><script>
setInterval(()=>document.querySelectorAll("img").forEach(i=>{{const n=new Image();
n.onload=()=>i.src=n.src;n.src=i.src.split("?")[0]+"?"+Date.now()}}),1000)</script></html>"""
