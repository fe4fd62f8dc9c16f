"""What reading a camera costs, in shares of one core: `python -m benchmarks.capture [SECONDS]`.

Each camera is played from a process of its own; only the reading process is measured. Beside RTSP at its full rate
stand the bare PyAV and the bare OpenCV reader of the same camera, in the same run.
"""

from __future__ import annotations

import multiprocessing
import sys
import time
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from multiprocessing.connection import Connection
from threading import Event
from typing import cast

import av
import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from capture.inspection import Inspector
from capture.pacing import Pacer
from capture.pictures import Decoded, JpegEncoder, Picture
from capture.sources.opening import make_source
from capture.sources.source import Opening
from contract.settings import Settings
from simulator.scene import Scene
from tests.integration.capture.http_camera import HttpCamera
from tests.integration.capture.rtsp_camera import RtspCamera, encode_images

SECONDS = 20.0
#: What each may take: a ratio to the bare reader, or a share of one core.
BARE_RATIO, SELDOM, STILL, STILL_INSPECTED = 1.25, 0.04, 0.01, 0.02
_QUALITY = 85
#: Until key frames are known and everything is warm.
_SETTLE_S = 4.0


def _resized(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    return cast("NDArray[np.uint8]", cv2.resize(image, (width, height)))


def _serve(kind: str, pipe: Connection) -> None:
    """Play a rendered forecourt until the other end closes: 1080p25 by RTSP, key frames each second, or 720p."""
    width, height = (1920, 1080) if kind == "rtsp" else (1280, 720)
    scene = Scene(1)
    images = [_resized(scene.at(number / 25)[0], width, height) for number in range(50)]
    camera: RtspCamera | HttpCamera
    if kind == "rtsp":
        options = {"preset": "veryfast", "x264-params": "repeat-headers=1:keyint=25:scenecut=0:bframes=0:bitrate=4000"}
        camera = RtspCamera(encode_images(images, options=options))
        camera.start()
        pipe.send(camera.url)
    else:
        camera = HttpCamera([cv2.imencode(".jpg", each)[1].tobytes() for each in images])
        camera.interval_s = 0.2
        camera.start()
        pipe.send(camera.url("/video.mjpeg" if kind == "mjpeg" else "/turning.jpg"))
    try:
        pipe.recv()
    except EOFError:
        return


@contextmanager
def _camera(kind: str) -> Iterator[str]:
    """Give the address of a camera in another process."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(kind, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        yield ours.recv()
    finally:
        ours.close()
        process.terminate()
        process.join()


def _measured(pictures: Generator[object], seconds: float) -> float:
    """Return the share of one core that the process takes while it goes through `pictures`."""
    with closing(pictures):
        settled_s = time.monotonic() + _SETTLE_S
        cpu_s = began_s = 0.0
        for _ in pictures:
            now_s = time.monotonic()
            if not began_s and now_s >= settled_s:
                cpu_s, began_s = time.process_time(), now_s
            elif began_s and now_s - began_s >= seconds:
                return (time.process_time() - cpu_s) / (now_s - began_s)
    raise RuntimeError("the camera ended")


def _read(url: str, kind: str, fps: float, *, inspected: bool) -> Generator[Picture]:
    """Read as `capture.reader` does, but for publishing."""
    never = Event()
    opening = Opening(url, Settings(), str, lambda: 1 / fps, never.wait, lambda: fps)
    pacer, encoder, inspector = Pacer(max(2.0, fps)), JpegEncoder(_QUALITY), Inspector(60)
    with closing(make_source(kind, opening).pictures()) as pictures:
        for picture in pictures:
            now_s = time.monotonic()
            if pacer.due(now_s):
                jpeg = encoder.encode(picture.frame) if isinstance(picture, Decoded) else picture.jpeg
                if inspected:
                    inspector.look(jpeg, now_s)
            yield picture


def _bare_pyav(url: str, fps: float) -> Generator[object]:
    """Decode all, and encode `fps` pictures a second: the least that has to be done."""
    pacer = Pacer(fps)
    with av.open(url, options={"rtsp_transport": "tcp"}, timeout=5) as container:
        container.streams.video[0].codec_context.thread_count = 1
        for frame in container.decode(video=0):
            if pacer.due(time.monotonic()):
                cv2.imencode(".jpg", frame.to_ndarray(format="bgr24"), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            yield frame


def _bare_opencv(url: str, fps: float) -> Generator[object]:
    pacer, camera = Pacer(fps), cv2.VideoCapture(url, cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    try:
        while camera.grab():
            if pacer.due(time.monotonic()):
                cv2.imencode(".jpg", camera.retrieve()[1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])
            yield None
    finally:
        camera.release()


def main() -> int:
    """Print the table; return 1 when a limit is not kept."""
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    rows: list[tuple[str, float, float | None]] = []

    def measure(what: str, pictures: Generator[object], limit: float | None = None) -> float:
        share = _measured(pictures, seconds)
        rows.append((what, share, limit))
        return share

    with _camera("rtsp") as url:
        bare = measure("RTSP 1080p25 at 10 fps, bare PyAV", _bare_pyav(url, 10))
        measure("RTSP 1080p25 at 10 fps, bare OpenCV", _bare_opencv(url, 10))
        measure("RTSP 1080p25 at 10 fps", _read(url, "stream", 10, inspected=False), BARE_RATIO * bare)
        measure("RTSP 1080p25 at 10 fps, inspected", _read(url, "stream", 10, inspected=True))
        measure("RTSP 1080p25 at 1 fps, inspected", _read(url, "stream", 1, inspected=True), SELDOM)
    for kind, name in (("snapshot", "snapshots"), ("mjpeg", "MJPEG")):
        with _camera(kind) as url:
            source = "snapshot" if kind == "snapshot" else "stream"
            for inspected, limit in ((False, STILL), (True, STILL_INSPECTED)):
                what = f"{name} 720p at 5 fps{', inspected' if inspected else ''}"
                measure(what, _read(url, source, 5, inspected=inspected), limit)
    table = Table(title="reading one camera", title_justify="left", min_width=80)
    table.add_column("camera")
    for column in ("share of a core", "limit", ""):
        table.add_column(column, justify="right")
    for what, share, most in rows:
        kept = "" if most is None else "kept" if share <= most else "NOT KEPT"
        table.add_row(what, f"{share:.2%}", "" if most is None else f"{most:.2%}", kept)
    Console(width=118).print(table)
    return int(any(most is not None and share > most for _, share, most in rows))


if __name__ == "__main__":
    sys.exit(main())
