"""One camera's reader: connect, take pictures at the wanted rate, hand them to the publisher, reconnect.

A thread per camera, of few cameras in a process (`capture.isolation`). All it shares is its plan (replaced whole), its
condition (read whole) and the outbox.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from redis.exceptions import RedisError

from capture.attempts import Attempts, Trouble
from capture.errors import SourceFailed, SourceLost
from capture.inspection import Flaw, Inspector
from capture.pacing import LONGEST_WAIT_S
from capture.pictures import Encoded, JpegEncoder, Picture, jpeg_size
from capture.publishing import Outbox, Publication
from capture.rate import Rate
from capture.sources.opening import make_source
from capture.sources.source import Opening, Source
from contract import frames, leases
from contract.connects import Gate
from contract.frames import Frame
from contract.problems import Code
from contract.settings import Settings
from contract.subscriptions import CameraPlan

log = logging.getLogger(__name__)

#: While the state server is away, credentials cannot be read: the camera is tried again after this.
_SERVER_WAIT_S = 1.0


@dataclass(frozen=True, slots=True)
class Condition:
    """How a camera is.

    Attributes:
        state: connecting, online, waiting (to connect again), given_up; or, while it plays, the flaw of its picture.
        trouble: None while it is well, and during an absence that is too short to be told.
        since_s: monotonic seconds at which it became so.
    """

    state: str
    trouble: Trouble | None
    since_s: float

    @property
    def plays(self) -> bool:
        """Whether pictures come."""
        return self.state in ("online", *Flaw)


class Reader:
    """Reads one camera in a thread of its own, from `start()` until `stop()`.

    Attributes:
        published: pictures handed to the publisher so far.
        alive_s: monotonic seconds of its last picture, or of its last step from one state to another.
    """

    def __init__(
        self,
        plan: CameraPlan,
        *,
        fence: int,
        settings: Settings,
        outbox: Outbox,
        credentials: Callable[[], str],
        gate: Gate,
        trouble: Trouble | None = None,
    ) -> None:
        self.published = 0
        self._gate = gate
        self.plan, self._fence = plan, fence
        self._settings, self._outbox = settings, outbox
        opening = Opening(
            plan.source.url, settings, credentials, self._interval_s, self._stopped_within, lambda: self.plan.fps
        )
        self._source: Source = make_source(plan.source.kind, opening)
        self._rate, self._encoder = Rate(), JpegEncoder(settings.jpeg_quality)
        self._inspector = Inspector(settings.frozen_seconds)
        self._attempts = Attempts(settings.reconnect_interval_seconds, settings.max_retries)
        # Whether the servers know of failures of this camera; None: that is not known yet.
        self._remembered: bool | None = None
        # The seq of the last publication, and whether the camera has shown something else since.
        self._seq, self._changed = 0, True
        self._stop, self._nudge = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"read-{plan.cam}", daemon=True)
        self._set("connecting", trouble)

    @property
    def running(self) -> bool:
        """Whether the thread lives, and with it perhaps a connection."""
        return self._thread.is_alive()

    @property
    def lost(self) -> bool:
        """Never: as long as we live, so does the thread."""
        return False

    def start(self) -> None:
        """Begin to connect."""
        self._thread.start()

    def stop(self) -> None:
        """Publish nothing from now on, and end as soon as the source lets go."""
        self._stop.set()
        self._nudge.set()
        self._outbox.drop(self.plan.cam)

    def abandon(self) -> None:
        """Have nothing more to do with it: its thread cannot be ended, only kept from saying anything."""
        self.stop()

    def follow(self, plan: CameraPlan, fence: int) -> None:
        """Take a new plan or fence; the camera is not reopened. A new wish ends the wait for a lost camera."""
        new = {s.revision for s in plan.subscriptions} - {s.revision for s in self.plan.subscriptions}
        self.plan, self._fence = plan, fence
        if new:
            # A still picture is news to who has just come.
            self._changed = True
            self._nudge.set()

    def _interval_s(self) -> float:
        return (self.plan.source.interval_ms or self._settings.poll_interval_ms) / 1000

    def _stopped_within(self, seconds: float) -> bool:
        return self._stop.wait(seconds)

    def _set(self, state: str, trouble: Trouble | None) -> None:
        self.alive_s = time.monotonic()
        self.condition = Condition(state, trouble, self.alive_s)

    def _set_playing(self) -> None:
        flaw = self._inspector.flaw
        self._set(flaw or "online", flaw.trouble if flaw else None)
        log.info("camera %s: %s", self.plan.cam, self.condition.state)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._keep_capturing()
            except Exception:
                # The thread's top line: a fault of ours must be seen, and must not look like a camera that is dark.
                log.exception("camera %s: its reader failed; this is a fault of detector", self.plan.cam)
                self._set(
                    "waiting", Trouble(Code.INTERNAL, "reading the camera failed for a reason of ours; see the log")
                )
                self._nudge.wait(LONGEST_WAIT_S)

    def _keep_capturing(self) -> None:
        while not self._stop.is_set():
            self._nudge.clear()
            try:
                self._wait_in_row()
                self._set("connecting", self.condition.trouble)
                self._play()
            except SourceFailed as failure:
                self._wait_after(failure)
            except RedisError as exc:
                log.warning("camera %s: the state server is away, so it is not connected to: %s", self.plan.cam, exc)
                self._stop.wait(_SERVER_WAIT_S)

    def _wait_in_row(self) -> None:
        """Wait for our turn to connect, and for what is left of a former reader's back-off."""
        if self._remembered is None:
            failures, wait_s = self._gate.remembered()
            self._attempts.resume(failures)
            self._remembered = failures > 0
            self._set("waiting", self.condition.trouble)
            if self._nudge.wait(wait_s):
                self._attempts.forget()
        if wait_s := self._gate.wait_s():
            self._set("waiting", self.condition.trouble)
            self._stop.wait(wait_s)

    def _play(self) -> None:
        with closing(self._source.pictures()) as pictures:
            for picture in pictures:
                if self._stop.is_set():
                    return
                self._take(picture)
        if not self._stop.is_set():
            raise SourceLost(Code.CAMERA_UNREACHABLE, "the camera ended the stream")

    def _wait_after(self, failure: SourceFailed) -> None:
        if self._stop.is_set():
            return
        wait_s, trouble = self._attempts.failed(failure), self._attempts.trouble(failure)
        self._set("given_up" if wait_s is None else "waiting", trouble or self.condition.trouble)
        plan = "given up" if wait_s is None else f"next attempt in {wait_s:.1f} s"
        log.warning("camera %s: %s; %s", self.plan.cam, failure, plan)
        self._gate.remember(self._attempts.failures, wait_s or LONGEST_WAIT_S)
        self._remembered = True
        if self._nudge.wait(wait_s):
            self._attempts.forget()

    def _take(self, picture: Picture) -> None:
        now_s = self.alive_s = time.monotonic()
        if not self.condition.plays:
            if self._remembered:
                self._gate.forget()
                self._remembered = False
            self._attempts.played()
            self._nudge.clear()
            self._set_playing()
        self._changed |= not (isinstance(picture, Encoded) and picture.unchanged)
        groups = self._rate.due(self.plan, now_s)
        if groups is None:
            return
        first = self._fence * leases.SEQ_PER_FENCE
        unchanged = not self._changed and self._seq > first
        if not unchanged:
            self._seq = max(self._seq, first) + 1
        self._changed = False
        interval_ms = self._interval_s() * 1000 if self.plan.source.kind == "snapshot" else 0
        frame, ttl_ms = self._frame(picture), frames.fresh_ms(interval_ms)
        if self._inspector.look(frame.jpeg, now_s):
            self._set_playing()
        if (flaw := self._inspector.flaw) and flaw.blinds and self._settings.flawed_images == "suppress":
            groups = frozenset()
        self._outbox.put(Publication(frame, ttl_ms, groups, unchanged))
        self.published += 1
        if self._stop.is_set():
            self._outbox.drop(frame.cam)

    def _frame(self, picture: Picture) -> Frame:
        if isinstance(picture, Encoded):
            (width, height), jpeg = jpeg_size(picture.jpeg), picture.jpeg
        else:
            (width, height), jpeg = (picture.frame.width, picture.frame.height), self._encoder.encode(picture.frame)
        return Frame(
            cam=self.plan.cam,
            seq=self._seq,
            captured_ms=picture.captured_ms,
            width=width,
            height=height,
            jpeg=jpeg,
        )
