"""The demo's cameras: several scenes, each as a real stream on loopback."""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self, get_args

from simulator.feed import Feed, Kind
from simulator.rtsp import RtspServer
from simulator.truth import TruthLog
from simulator.web import WebServer

DEFAULT_RTSP_PORT = 8554
DEFAULT_HTTP_PORT = 8555
DEFAULT_FPS = 10
DEFAULT_SEED = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Camera:
    """One camera to serve: its name in URLs, how it is read, and the seed of its scene."""

    name: str
    kind: Kind
    seed: int


def default_cameras(count: int = 4, seed: int = DEFAULT_SEED) -> tuple[Camera, ...]:
    """Return `cam1`, `cam2`, ... with seeds from `seed` on: two over RTSP, one snapshot, one MJPEG, and again."""
    rtsp, snapshot, mjpeg = get_args(Kind)
    kinds: tuple[Kind, ...] = (rtsp, rtsp, snapshot, mjpeg)
    return tuple(Camera(name=f"cam{i + 1}", kind=kinds[i % len(kinds)], seed=seed + i) for i in range(count))


class Cameras:
    """Cameras being served. Use as a context manager, or call `start` and `stop`."""

    def __init__(
        self,
        cameras: tuple[Camera, ...] | None = None,
        *,
        host: str = "127.0.0.1",
        rtsp_port: int = 0,
        http_port: int = 0,
        fps: int = DEFAULT_FPS,
        truth_dir: Path | None = None,
    ) -> None:
        """Store; `start` opens the ports.

        Args:
            cameras: what to serve; None: `default_cameras()`.
            host: address to listen on.
            rtsp_port: 0 picks a free one.
            http_port: 0 picks a free one.
            fps: frames per second of every camera.
            truth_dir: where `{camera}.jsonl` is written, one line per emitted frame; None: memory only.
        """
        self.cameras = default_cameras() if cameras is None else cameras
        self.feeds: dict[str, Feed] = {}
        for camera in self.cameras:
            truth = TruthLog(fps, truth_dir / f"{camera.name}.jsonl" if truth_dir else None)
            self.feeds[camera.name] = Feed(camera.name, camera.kind, camera.seed, fps, truth)
        self._host = host
        self._rtsp = RtspServer(self.feeds, host, rtsp_port)
        self._web = WebServer(self.feeds, host, http_port, lambda: self.urls)
        self.rtsp_port = self.http_port = 0

    def start(self) -> None:
        """Open both ports and let the scenes' time run.

        Raises:
            OSError: a port is taken.
        """
        self.rtsp_port = self._rtsp.start()
        try:
            self.http_port = self._web.start()
        except OSError:
            self._rtsp.stop()
            raise
        for feed in self.feeds.values():
            feed.start()

    def stop(self) -> None:
        """End every stream and close both ports; takes well under two seconds."""
        for feed in self.feeds.values():
            feed.stop()
        self._rtsp.stop()
        self._web.stop()
        for feed in self.feeds.values():
            feed.truth.close()

    def __enter__(self) -> Self:
        """Start."""
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        """Stop."""
        self.stop()

    @property
    def urls(self) -> Mapping[str, str]:
        """The address of each camera, by name."""
        return {camera.name: self._url(camera) for camera in self.cameras}

    @property
    def http_url(self) -> str:
        """The address of the page and of `/truth/{camera}`."""
        return f"http://{self._host}:{self.http_port}"

    def _url(self, camera: Camera) -> str:
        match camera.kind:
            case "rtsp":
                return f"rtsp://{self._host}:{self.rtsp_port}/{camera.name}"
            case "snapshot":
                return f"{self.http_url}/{camera.name}.jpg"
            case "mjpeg":
                return f"{self.http_url}/{camera.name}.mjpg"


def run(
    *,
    host: str = "127.0.0.1",
    rtsp_port: int = DEFAULT_RTSP_PORT,
    http_port: int = DEFAULT_HTTP_PORT,
    fps: int = DEFAULT_FPS,
    truth_dir: Path | None = None,
    cameras: int = 4,
    seed: int = DEFAULT_SEED,
) -> int:
    """Serve until SIGINT or SIGTERM; write one line per camera (name, kind, URL) first. Return the exit code.

    Args:
        host: address to listen on.
        rtsp_port: 0 picks a free one.
        http_port: 0 picks a free one.
        fps: frames per second.
        truth_dir: where the truth is written as JSONL; None: nowhere.
        cameras: how many; see `default_cameras`.
        seed: of the first camera's scene; each further one adds 1.
    """
    stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    served = Cameras(
        default_cameras(cameras, seed),
        host=host,
        rtsp_port=rtsp_port,
        http_port=http_port,
        fps=fps,
        truth_dir=truth_dir,
    )
    try:
        served.start()
    except OSError as exc:
        sys.stderr.write(f"cameras: cannot listen on {host} ports {rtsp_port} and {http_port}: {exc}\n")
        return 1
    for camera in served.cameras:
        sys.stdout.write(f"{camera.name}  {camera.kind:<8}  {served.urls[camera.name]}\n")
    sys.stdout.write(f"page  {'http':<8}  {served.http_url}/\n")
    sys.stdout.flush()
    stop.wait()
    served.stop()
    return 0
