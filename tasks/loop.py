"""The loop of one wake-up: turn, compute, turn, … until nothing is left or its time is over."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Event, Lock, Thread

from contract import clients
from contract.keys import Group
from contract.work import LEASE_MS, Claim, Finished, Turn, Turner, Wake
from tasks.slots import Slot

#: Other pipelines get their share of a worker's threads after this; while a thread is free for them, a loop goes on for
#: longer: each one costs a Celery message and its events, a quarter of what 40 frames/s cost.
SHARED_LOOP_S = 0.5
LOOP_S = 2.0
#: A busy loop lets the next wake-up be sent this often, so that idle workers join. Answering in every turn cost one
#: Celery message per batch: 70 % of a worker's CPU with a fast model (`benchmarks/hot_path.py`).
ANSWER_S = 0.1
#: An idle loop waits for work for this long after its last batch, before it leaves the rest to a wake-up: being rung
#: costs a tenth of a Celery message.
LINGER_S = 0.06

Compute = Callable[[Turn], Sequence[Finished]]


@dataclass(slots=True)
class Tally:
    """What one loop did."""

    frames: int = 0
    batches: int = 0
    refused: int = 0

    def __str__(self) -> str:
        return f"{self.frames} frames in {self.batches} batches"


@dataclass(frozen=True, slots=True)
class Loop:
    """Works on one pipeline.

    Attributes:
        compute: from a turn's claims to one `Finished` for each; must not raise.
        send: sends the wake-up that is due.
        stopping: set when the process is to end: finish, claim no more.
        thread_free: whether a thread is left for the wake-ups of other pipelines.
    """

    turner: Turner
    slot: Slot
    compute: Compute
    send: Callable[[Wake], None]
    renewals: Renewals
    stopping: Event
    batch_max: int
    thread_free: Callable[[], bool] = lambda: True

    def run(self) -> Tally:
        """Answer one wake-up; return what was done. What is left when the time is over has been armed."""
        tally = Tally()
        if not self.slot.enter():
            return tally
        wake = Wake.NO
        try:
            wake = self._turns(tally)
        finally:
            # Left before the wake-up is sent: it may come straight back to this process.
            if self.slot.leave():
                wake = Wake.SEND
            self.send(wake)
        return tally

    def _turns(self, tally: Tally) -> Wake:
        began = worked = answer_due = time.monotonic()
        batch, finished = "", tuple[Finished, ...]()
        while True:
            now, free = time.monotonic(), self.thread_free()
            in_time = now < began + (LOOP_S if free else SHARED_LOOP_S) and not self.stopping.is_set()
            stay_s = max(0.0, worked + LINGER_S - now) if in_time and free else 0.0
            last = stay_s == 0
            answers = last or now >= answer_due
            if answers:
                self.slot.answer()
                answer_due = now + ANSWER_S
            turn = self.turner.turn(
                room=self.batch_max if in_time else 0,
                answers_wake=answers,
                stay_s=stay_s,
                batch=batch,
                finished=finished,
            )
            tally.refused += turn.refused
            if last and not turn.claims:
                return turn.wake
            self.send(turn.wake)
            batch, finished = turn.batch, self._computed(turn, tally)
            if turn.claims:
                worked = time.monotonic()
            else:
                self.turner.wait(stay_s)

    def _computed(self, turn: Turn, tally: Tally) -> tuple[Finished, ...]:
        if not turn.claims:
            return ()
        with self.renewals.keep(self.turner, turn.batch, turn.claims):
            finished = tuple(self.compute(turn))
        tally.batches += 1
        tally.frames += len(finished)
        return finished


@dataclass(frozen=True, slots=True)
class _Held:
    turner: Turner
    batch: str
    groups: tuple[Group, ...]


@dataclass(slots=True)
class Renewals:
    """Prolongs the leases of all batches that this process computes, three times per lease."""

    every_s: float = LEASE_MS / 3000
    _held: set[_Held] = field(default_factory=set)
    _lock: Lock = field(default_factory=Lock)

    @contextmanager
    def keep(self, turner: Turner, batch: str, claims: Sequence[Claim]) -> Iterator[None]:
        """Hold the leases of `claims` while the block runs."""
        held = _Held(turner, batch, tuple(claim.group for claim in claims))
        with self._lock:
            self._held.add(held)
        try:
            yield
        finally:
            with self._lock:
                self._held.discard(held)

    def renew(self) -> None:
        """Prolong what is held now. A server that is away is left to the next round: the lease says what counts."""
        with self._lock:
            held = tuple(self._held)
        for each in held:
            try:
                each.turner.renew(each.batch, each.groups)
            except clients.Down:
                return

    def start(self, stop: Event) -> Thread:
        """Renew in a thread of its own until `stop` is set."""

        def forever() -> None:
            while not stop.wait(self.every_s):
                self.renew()

        thread = Thread(target=forever, name="renewals", daemon=True)
        thread.start()
        return thread
