"""One camera's frames: rendered while somebody watches, encoded once for all who do.

Time never stops: frame `n` shows scene time `n / fps`, whether or not anybody saw the frames before it.
"""

from __future__ import annotations

import functools
import logging
import math
import queue
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import cv2

from simulator.encoder import Encoder
from simulator.marks import Image
from simulator.scene import Scene, Truth
from simulator.truth import TruthLog

log = logging.getLogger(__name__)

Kind = Literal["rtsp", "snapshot", "mjpeg"]
Wants = Literal["rtp", "picture"]

_JPEG_QUALITY = 85
#: A viewer that is this far behind loses frames until the next key frame.
_BEHIND_S = 2.0


@dataclass(frozen=True)
class Frame:
    """One frame on its way out.

    Attributes:
        number: frame number of the camera; rises, with gaps while nobody watched.
        at_ms: Unix time in ms when it was handed to the network.
        image, truth: what it shows.
        packets: RTP packets; empty when nobody watches over RTSP.
        key: whether a decoder can start with this frame.
    """

    number: int
    at_ms: int
    image: Image
    truth: Truth
    packets: tuple[bytes, ...]
    key: bool

    @functools.cached_property
    def jpeg(self) -> bytes:
        """The picture as JPEG; made on first use, so that RTSP viewers do not pay for it."""
        _, encoded = cv2.imencode(".jpg", self.image, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
        return encoded.tobytes()


class Viewer:
    """One client's view of a feed: a bounded queue that drops frames, never delays them.

    Faults (a stall, a frozen or garbled picture) belong here, between the feed and one transport.
    """

    def __init__(self, wants: Wants, frames: int) -> None:
        self.wants = wants
        self._queue: queue.Queue[Frame | None] = queue.Queue(maxsize=frames)
        self._waits_for_key = wants == "rtp"

    def offer(self, frame: Frame) -> None:
        """Queue a frame, or drop it: before the first key frame, and from a full queue to the next key frame."""
        if self._waits_for_key and not frame.key:
            return
        try:
            self._queue.put_nowait(frame)
            self._waits_for_key = False
        except queue.Full:
            self._waits_for_key = self.wants == "rtp"

    def end(self) -> None:
        """Make `next_frame` return None from now on."""
        while True:
            try:
                self._queue.put_nowait(None)
                return
            except queue.Full:
                self._queue.get_nowait()

    def next_frame(self, timeout_s: float) -> Frame | None:
        """Return the next frame; None when the feed stopped or nothing came for `timeout_s` seconds."""
        try:
            return self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None


class Feed:
    """A named camera. `start` begins its thread; frames are made only while there are viewers."""

    def __init__(self, name: str, kind: Kind, seed: int, fps: int, truth: TruthLog) -> None:
        """Store; nothing is drawn yet.

        Args:
            name: what the camera is called in URLs.
            kind: how it is meant to be read.
            seed: of its scene.
            fps: frames per second.
            truth: where the truth of each frame goes.
        """
        self.name, self.kind, self.seed, self.fps, self.truth = name, kind, seed, fps, truth
        self.encoded = 0
        self._viewers: list[Viewer] = []
        self._changed = threading.Condition()
        self._joined = False
        self._stopping = False
        self._origin = 0.0
        self._thread = threading.Thread(target=self._run, name=f"feed-{name}", daemon=True)

    @property
    def watched(self) -> bool:
        """Whether anybody watches, and so frames are made."""
        return bool(self._viewers)

    def start(self) -> None:
        """Let the scene's time run from now."""
        self._origin = time.monotonic()
        self._thread.start()

    def stop(self) -> None:
        """End the thread and every viewer's stream."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    @contextmanager
    def watch(self, wants: Wants) -> Generator[Viewer]:
        """Yield a viewer that gets every frame from now on; an `rtp` viewer starts with a key frame."""
        viewer = Viewer(wants, max(2, math.ceil(self.fps * _BEHIND_S)))
        with self._changed:
            if self._stopping:
                viewer.end()
            self._viewers.append(viewer)
            self._joined = self._joined or wants == "rtp"
            self._changed.notify_all()
        try:
            yield viewer
        finally:
            with self._changed:
                self._viewers.remove(viewer)

    def _run(self) -> None:
        scene = Scene(self.seed)
        encoder: Encoder | None = None
        number = -1
        try:
            while self._due(number):
                number = max(number + 1, math.floor((time.monotonic() - self._origin) * self.fps))
                image, truth = scene.at(number / self.fps)
                with self._changed:
                    viewers, joined = list(self._viewers), self._joined
                    self._joined = False
                packets: tuple[bytes, ...] = ()
                key = False
                if any(viewer.wants == "rtp" for viewer in viewers):
                    encoder = encoder or Encoder(scene.view.width, scene.view.height, self.fps)
                    made, key = encoder.encode(image, number, key=joined)
                    packets = tuple(made)
                    self.encoded += 1
                frame = Frame(number, time.time_ns() // 1_000_000, image, truth, packets, key)
                # Before anybody can have the frame, so that its truth can always be asked for.
                self.truth.record(frame.number, frame.at_ms, truth)
                for viewer in viewers:
                    if packets or viewer.wants == "picture":
                        viewer.offer(frame)
        finally:
            if encoder:
                encoder.close()
            with self._changed:
                for viewer in self._viewers:
                    viewer.end()

    def _due(self, number: int) -> bool:
        """Wait until somebody watches and the frame after `number` is due; False when the feed stops."""
        with self._changed:
            while not self._stopping:
                wait = None
                if self._viewers:
                    wait = self._origin + (number + 1) / self.fps - time.monotonic()
                    if wait <= 0:
                        return True
                self._changed.wait(wait)
        return False
