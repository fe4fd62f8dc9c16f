"""The capture daemon: holds leases of cameras, a reader for each, and tells how they are.

It reconciles: what is wanted (`contract.subscriptions`) is compared with what runs, several times a second. Nothing
here depends on a message that could be lost.
"""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import asdict, dataclass
from typing import Protocol

from redis import Redis
from redis.exceptions import RedisError

from capture.attempts import Trouble
from capture.cell import Counts, Reading
from capture.standing import Standings
from capture.telling import Teller
from contract import leases, nodes, subscriptions
from contract.errors import RecordInvalid
from contract.keys import Cam, Keys
from contract.problems import Code
from contract.settings import Settings
from contract.subscriptions import CameraPlan, Wanted

log = logging.getLogger(__name__)

TICK_S = 0.2
#: The whole of what is wanted is read again this often, whatever the version says.
_READ_S = 5.0
_RENEW_S = 1.5
#: A camera that another daemon holds is asked for this often.
_TAKE_S = 1.0
#: A reader that is said to run and gave no new picture for this long, plus two of its intervals, hangs.
HANGS_S = 20.0
#: A reader that was stopped keeps its lease for so long at most, until its connection is closed.
_CLOSING_S = 8.0
_CLOSED_LOOK_S = 0.02
#: A camera whose process is lost for the second time waits for four times as long, then for ever longer.
_LOST_WAIT_S = 0.5
_LOG_EVERY_S = 1.0
#: Credentials that are in use must not expire.
_KEEP_S = 3_600.0


class Cells(Protocol):
    """Where cameras are read: `capture.cell.Cell` in threads of this process, `capture.isolation.Cells` in others."""

    @property
    def counts(self) -> Counts: ...

    def open(self, plan: CameraPlan, fence: int, trouble: Trouble | None = None, *, alone: bool = False) -> Reading: ...

    def supervise(self) -> None: ...

    def stop(self, within_s: float) -> None: ...


@dataclass(slots=True)
class _Held:
    """A camera that is ours; `losses` in a row of its process since it last played."""

    reader: Reading
    fence: int
    losses: int = 0
    retry_s: float = 0.0


@dataclass(slots=True)
class _Closing:
    """A camera that was ours, while its connection may still be open."""

    reader: Reading
    until_s: float


class Every:
    """Says when a period is over."""

    def __init__(self, period_s: float) -> None:
        self._period_s = period_s
        self._next_s = float("-inf")

    def over(self) -> bool:
        """Return whether it is time again; if so, the next period begins."""
        now_s = time.monotonic()
        if now_s < self._next_s:
            return False
        self._next_s = now_s + self._period_s
        return True

    def now(self) -> None:
        """Let the next `over` be true."""
        self._next_s = float("-inf")


class Daemon:
    """One capture process's work, from `run` until its stop event is set."""

    def __init__(self, settings: Settings, state: Redis, keys: Keys, cells: Cells) -> None:
        self._settings, self._state, self._keys, self._cells = settings, state, keys, cells
        self._pulse = nodes.Pulse("capture")
        self._teller = Teller(state, keys)
        self._wanted = Wanted(-1)
        self._held: dict[Cam, _Held] = {}
        self._closing: dict[Cam, _Closing] = {}
        self._read, self._renew, self._take = Every(_READ_S), Every(_RENEW_S), Every(_TAKE_S)
        self._sign, self._complain, self._keep = Every(nodes.SIGN_S), Every(_LOG_EVERY_S), Every(_KEEP_S)
        self._standings = Standings()
        self._published = self._greatest_fence = 0

    def run(self, stop: threading.Event) -> None:
        """Reconcile until `stop` is set, then close every camera and give it back."""
        log.info("capture daemon %s starts, for at most %d cameras", self._pulse.id, self._settings.capture_capacity)
        while not stop.wait(TICK_S):
            try:
                self._tick()
            except (RedisError, RecordInvalid) as exc:
                if self._complain.over():
                    log.warning("the state server is away or unreadable: %s", exc)
        self._shut_down()

    def _tick(self) -> None:
        self._read_wanted()
        self._release_unwanted()
        self._release_closed()
        if self._renew.over():
            self._renew_leases()
        if self._keep.over():
            for cam in self._held:
                subscriptions.keep_credentials(self._state, self._keys, cam)
        if self._take.over():
            self._take_more()
        self._replace_hanging()
        self._cells.supervise()
        self._replace_lost()
        for held in self._held.values():
            condition = held.reader.condition
            self._teller.tell(held.reader.plan, condition.trouble, online=condition.plays)
            if self._standings.follow(held.reader):
                self._sign.now()
        if self._sign.over():
            self._give_sign()

    def _read_wanted(self) -> None:
        if subscriptions.read_version(self._state, self._keys) == self._wanted.version and not self._read.over():
            return
        self._wanted = subscriptions.read(self._state, self._keys)
        self._take.now()
        for cam, plan in self._wanted.cameras.items():
            if held := self._held.get(cam):
                held.reader.follow(plan, held.fence)

    def _release_unwanted(self) -> None:
        for cam in self._held.keys() - self._wanted.cameras.keys():
            log.info("camera %s: nobody wants it any more", cam)
            # Who wants it next may have mended it.
            self._state.delete(self._keys.backoff(cam))
            self._close(cam)

    def _close(self, cam: Cam) -> None:
        reader = self._held.pop(cam).reader
        reader.stop()
        self._teller.forget(cam)
        self._standings.forget(cam)
        self._closing[cam] = _Closing(reader, time.monotonic() + _CLOSING_S)

    def _release_closed(self) -> None:
        """Give back the cameras whose connections are closed: only then may another daemon connect."""
        for cam, closing in list(self._closing.items()):
            if not closing.reader.running or time.monotonic() > closing.until_s:
                leases.release(self._state, self._keys, cam, self._pulse.id)
                del self._closing[cam]
                self._take.now()

    def _renew_leases(self) -> None:
        for cam, held in list(self._held.items()):
            fence = self._lease(cam)
            if fence == 0:
                log.warning("camera %s: another daemon has taken it over", cam)
                self._close(cam)
            elif fence != held.fence:
                held.fence = fence
                held.reader.follow(held.reader.plan, fence)

    def _take_more(self) -> None:
        for cam, plan in self._wanted.cameras.items():
            if len(self._held) >= self._settings.capture_capacity:
                return
            if cam in self._held or cam in self._closing:
                continue
            if fence := self._lease(cam):
                log.info("camera %s: taken (%s, for %d subscriptions)", cam, plan.source.kind, len(plan.subscriptions))
                self._open(plan, fence)

    def _lease(self, cam: Cam) -> int:
        fence = leases.take(self._state, self._keys, cam, self._pulse.id, above=self._greatest_fence)
        self._greatest_fence = max(self._greatest_fence, fence)
        return fence

    def _open(self, plan: CameraPlan, fence: int) -> None:
        self._held[plan.cam] = _Held(self._cells.open(plan, fence), fence)

    def _replace_hanging(self) -> None:
        """Abandon readers that hang: with their process, where they have one."""
        for held in list(self._held.values()):
            reader, silent_s = held.reader, time.monotonic() - held.reader.alive_s
            patience_s = HANGS_S + 2 * (reader.plan.source.interval_ms or 0) / 1000
            condition = reader.condition
            if not reader.lost and (condition.plays or condition.state == "connecting") and silent_s > patience_s:
                log.error("camera %s: no new picture for %.0f s; its reader is abandoned", reader.plan.cam, patience_s)
                reader.abandon()
                text = "the camera gives no new pictures; it is connected anew"
                self._reopen(held, Trouble(Code.CAMERA_STALLED, text), alone=True)

    def _replace_lost(self) -> None:
        """Read on what was read by processes that have ended; what ends them again and again, later and later."""
        for held in list(self._held.values()):
            if not held.reader.lost:
                held.losses = 0 if held.reader.condition.plays else held.losses
                continue
            if not held.retry_s:
                held.losses += 1
                held.retry_s = time.monotonic() + (0 if held.losses == 1 else min(_LOST_WAIT_S * 2**held.losses, 30.0))
            if time.monotonic() >= held.retry_s:
                self._reopen(held, held.reader.condition.trouble, alone=False)

    def _reopen(self, held: _Held, trouble: Trouble | None, *, alone: bool) -> None:
        """Read the camera anew, with a new number: the next reader counts from the start and must be believed."""
        plan = held.reader.plan
        leases.release(self._state, self._keys, plan.cam, self._pulse.id)
        if fence := self._lease(plan.cam):
            reader = self._cells.open(plan, fence, trouble, alone=alone)
            self._held[plan.cam] = _Held(reader, fence, held.losses)
        else:
            self._close(plan.cam)

    def _give_sign(self) -> None:
        counts = self._cells.counts
        if counts.published > self._published or not self._held:
            self._pulse.progress()
        self._published = counts.published
        sign = self._pulse.sign(
            done=counts.published,
            cameras=self._standings.facts(held.reader for held in self._held.values()),
            capacity=self._settings.capture_capacity,
            **asdict(counts),
        )
        pipe = self._state.pipeline(transaction=False)
        nodes.put(pipe, self._keys, sign)
        pipe.execute()

    def _shut_down(self, within_s: float = 2.0) -> None:
        log.info("capture daemon %s stops", self._pulse.id)
        deadline = time.monotonic() + within_s
        for cam in list(self._held):
            self._close(cam)
        while any(closing.reader.running for closing in self._closing.values()) and time.monotonic() < deadline:
            time.sleep(_CLOSED_LOOK_S)
        self._cells.stop(within_s=1.0)
        try:
            for cam in self._closing:
                leases.release(self._state, self._keys, cam, self._pulse.id)
            pipe = self._state.pipeline(transaction=False)
            nodes.remove(pipe, self._keys, self._pulse.id)
            pipe.execute()
        except RedisError as exc:
            log.warning("the cameras could not be given back; their leases expire: %s", exc)
