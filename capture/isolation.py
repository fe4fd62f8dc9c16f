"""Cells in processes of their own: a decoder that hangs, leaks or crashes takes few cameras with it, and not for long.

The daemon's end (`Cells`) forks cells from a server process that has everything imported, sends them orders, and kills
one that does not report. The cell's end (`serve`) obeys, reports, and ends itself when it hears nothing any more: a
daemon that is stopped loses its leases, so what it owns must fall silent with it.
"""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from queue import Empty, SimpleQueue

from capture.attempts import Trouble
from capture.cell import Cell, Counts, Reading
from capture.publishing import Servers
from capture.reader import Condition, Reader
from contract import clients, leases
from contract.keys import Cam, Keys
from contract.settings import Settings
from contract.subscriptions import CameraPlan
from contract.wakeups import Waker, celery_app

log = logging.getLogger(__name__)

#: A cell reports this often, and the daemon sends something at least as often as `_BEAT_S`.
_REPORT_S = 0.25
_BEAT_S = 1.0
#: A cell that hears nothing for this long ends: before the daemon's leases do.
_DEAF_S = leases.LEASE_MS / 1000 - 1.0
#: One that says nothing for this long is killed. Starting it may take longer.
_MUTE_S, _START_S = 10.0, 30.0
#: A camera whose cell was lost twice lives alone from then on.
_LOST_TOGETHER = 2


@dataclass(frozen=True, slots=True)
class _Open:
    plan: CameraPlan
    fence: int
    trouble: Trouble | None


@dataclass(frozen=True, slots=True)
class _Follow:
    plan: CameraPlan
    fence: int


@dataclass(frozen=True, slots=True)
class _Close:
    cam: Cam


@dataclass(frozen=True, slots=True)
class _Beat:
    """The daemon lives."""


@dataclass(frozen=True, slots=True)
class _End:
    """There is nothing more to do."""


_Order = _Open | _Follow | _Close | _Beat | _End


@dataclass(frozen=True, slots=True)
class _State:
    """How one reader is, in the words of `Reading`."""

    condition: Condition
    alive_s: float
    published: int
    running: bool


@dataclass(frozen=True, slots=True)
class _Report:
    """How a cell's readers are; one that has closed is reported once more."""

    readers: Mapping[Cam, _State]
    counts: Counts


@dataclass(frozen=True, slots=True)
class _Said:
    """A log record of a cell."""

    logger: str
    level: int
    text: str


class _Forward(logging.Handler):
    """Sends log records to the daemon: one process writes the log."""

    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe
        self.sending = threading.Lock()
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.send(_Said(record.name, record.levelno, self.format(record)))

    def send(self, message: _Said | _Report) -> None:
        try:
            with self.sending:
                self._pipe.send(message)
        except OSError:
            os._exit(0)  # The daemon is gone.


def cell(settings: Settings) -> Cell:
    """Return a cell of this process, connected to the servers of `settings`."""
    state, frames = clients.connect(settings.state, "capture"), clients.connect(settings.frames, "capture")
    waker = Waker(celery_app(), settings, "capture")
    return Cell(settings, state, Servers(frames, state, Keys(settings.key_prefix), waker.wake))


def serve(pipe: Connection, settings: Settings) -> None:
    """Be a cell: read what the daemon orders until it is gone."""
    # Ctrl-C reaches the whole group of processes; it is the daemon that ends us.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    forward = _Forward(pipe)
    logging.basicConfig(level=settings.log_level, handlers=[forward], force=True)
    inmates = cell(settings)
    readers: dict[Cam, Reader] = {}
    heard_s = reported_s = time.monotonic()
    while True:
        try:
            if pipe.poll(max(0.0, reported_s + _REPORT_S - time.monotonic())):
                order = pipe.recv()
                if isinstance(order, _End):
                    break
                _obey(order, inmates, readers)
                heard_s = time.monotonic()
        except (EOFError, OSError):
            break
        now_s = time.monotonic()
        if now_s - heard_s > _DEAF_S:
            break
        if now_s - reported_s >= _REPORT_S:
            reported_s = now_s
            states = {cam: _State(r.condition, r.alive_s, r.published, r.running) for cam, r in readers.items()}
            forward.send(_Report(states, inmates.counts))
            for cam in [cam for cam, last in states.items() if not last.running]:
                del readers[cam]
    # Decoders that hang must not keep the process.
    os._exit(0)


def _obey(order: _Order, cell: Cell, readers: dict[Cam, Reader]) -> None:
    match order:
        case _Open(plan, fence, trouble):
            readers[plan.cam] = cell.open(plan, fence, trouble)
        case _Follow(plan, fence) if plan.cam in readers:
            readers[plan.cam].follow(plan, fence)
        case _Close(cam) if cam in readers:
            readers[cam].stop()
        case _:
            pass


class _Remote:
    """A camera that is read in a cell's process. See `Reading`."""

    def __init__(self, process: _Process, plan: CameraPlan, trouble: Trouble | None) -> None:
        self.plan = plan
        self.alive_s = time.monotonic()
        self.condition = Condition("connecting", trouble, self.alive_s)
        self.published = 0
        self.closed = False
        self._process = process

    @property
    def running(self) -> bool:
        return not (self.closed or self.lost)

    @property
    def lost(self) -> bool:
        return self._process.gone

    def follow(self, plan: CameraPlan, fence: int) -> None:
        self.plan = plan
        self._process.send(_Follow(plan, fence))

    def stop(self) -> None:
        self._process.send(_Close(self.plan.cam))

    def abandon(self) -> None:
        self._process.kill("a camera of it hangs")


class _Process:
    """A cell's process as the daemon sees it."""

    def __init__(self, context: multiprocessing.context.ForkServerContext, settings: Settings, *, alone: bool) -> None:
        self.alone = alone
        self.readers: dict[Cam, _Remote] = {}
        self.counts = Counts()
        self._orders: SimpleQueue[_Order] = SimpleQueue()
        self._pipe, theirs = context.Pipe()
        self._process: ForkServerProcess = context.Process(target=serve, args=(theirs, settings), daemon=True)
        self._process.start()
        theirs.close()
        self._heard_s = time.monotonic() + _START_S - _MUTE_S
        # In threads: a process that is stopped must not hold up the daemon.
        for work in (self._send_orders, self._hear):
            threading.Thread(target=work, name=f"cell-{self._process.pid}", daemon=True).start()

    @property
    def gone(self) -> bool:
        """Whether the process has ended."""
        return not self._process.is_alive()

    @property
    def is_mute(self) -> bool:
        """Whether it should have said something long ago."""
        return time.monotonic() - self._heard_s > _MUTE_S

    def open(self, plan: CameraPlan, fence: int, trouble: Trouble | None) -> _Remote:
        reader = self.readers[plan.cam] = _Remote(self, plan, trouble)
        self.send(_Open(plan, fence, trouble))
        return reader

    def send(self, order: _Order) -> None:
        self._orders.put(order)

    def kill(self, why: str) -> None:
        """End it at once."""
        if not self.gone:
            log.error("capture process %s is killed: %s", self._process.pid, why)
            self._process.kill()
            self._process.join(1.0)

    def end(self) -> None:
        """Let it end."""
        self.send(_End())

    def join(self, within_s: float) -> None:
        self._process.join(within_s)
        if not self.gone:
            self._process.kill()

    def _send_orders(self) -> None:
        order: _Order = _Beat()
        while not isinstance(order, _End):
            try:
                order = self._orders.get(timeout=_BEAT_S)
            except Empty:
                order = _Beat()
            try:
                self._pipe.send(order)
            except OSError:
                return

    def _hear(self) -> None:
        while True:
            try:
                message = self._pipe.recv()
            except (EOFError, OSError):
                return
            if isinstance(message, _Said):
                logging.getLogger(message.logger).log(message.level, "%s", message.text)
            else:
                self._take(message)

    def _take(self, report: _Report) -> None:
        self._heard_s = time.monotonic()
        self.counts = report.counts
        for cam, state in report.readers.items():
            if (reader := self.readers.get(cam)) is None:
                continue
            reader.condition, reader.alive_s, reader.published = state.condition, state.alive_s, state.published
            if not state.running:
                reader.closed = True
                del self.readers[cam]


class Cells:
    """The daemon's cells: each of at most `size` cameras.

    Attributes:
        lost: cells that ended without being told to.
    """

    def __init__(self, settings: Settings, size: int) -> None:
        self.lost = 0
        self._settings, self._size = settings, size
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        self._processes: list[_Process] = []
        self._ended = Counts()
        self._losses: Counter[Cam] = Counter()

    @property
    def counts(self) -> Counts:
        """What came of the pictures so far."""
        return sum((process.counts for process in self._processes), self._ended)

    def open(self, plan: CameraPlan, fence: int, trouble: Trouble | None = None, *, alone: bool = False) -> Reading:
        """Begin to read a camera; `trouble` is what its subscribers know of. `alone`: it must not hurt others again."""
        alone = alone or self._losses[plan.cam] >= _LOST_TOGETHER
        free = (p for p in self._processes if not (p.gone or p.alone or alone) and len(p.readers) < self._size)
        process = next(free, None)
        if process is None:
            process = _Process(self._context, self._settings, alone=alone)
            self._processes.append(process)
        return process.open(plan, fence, trouble)

    def supervise(self) -> None:
        """Kill cells that say nothing, forget those that have ended, end those that nobody needs."""
        for process in list(self._processes):
            if process.is_mute:
                process.kill(f"it has said nothing for {_MUTE_S:.0f} s")
            if process.gone:
                self._forget(process)
            elif not process.readers:
                process.end()
                self._remove(process)

    def stop(self, within_s: float) -> None:
        """End all cells; those that do not within the time are killed."""
        deadline_s = time.monotonic() + within_s
        for process in self._processes:
            process.end()
        for process in self._processes:
            process.join(max(0.0, deadline_s - time.monotonic()))

    def _forget(self, process: _Process) -> None:
        log.warning("a capture process is lost; its %d cameras are read by another", len(process.readers))
        self.lost += 1
        self._losses.update(process.readers.keys())
        self._remove(process)

    def _remove(self, process: _Process) -> None:
        self._processes.remove(process)
        self._ended += process.counts
