"""The Redis actions of packages: run off the hot path, in order for each target, and never in the way of a frame.

A target is a server with an account; packages that name the same one share its connection and its thread, others have
their own, so that a server that is away delays nobody else's actions. Connections that nobody uses are closed.

What is submitted in order is run in order. A connection that breaks after a command was sent is no proof that it was
not run: a message may come twice, with the same `uuid`.
"""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from contextlib import closing
from threading import Condition, Event, Thread

from mpta.manifest import RedisTarget
from tasks.backlog import Backlog
from tasks.events import Job
from tasks.outlet import Outlet

log = logging.getLogger(__name__)

#: A connection without work is closed after this.
IDLE_S = 60.0
_COUNTED = ("done", "failed", "retried", "dropped")


class Actions:
    """Hands jobs to their targets' threads."""

    def __init__(self, give_up_s: float, *, backlog: Backlog | None = None, idle_s: float = IDLE_S) -> None:
        """Store them; an action that could not be run for `give_up_s` is dropped."""
        self._give_up_s, self._idle_s = give_up_s, idle_s
        self._backlog = backlog or Backlog()
        self._threads: dict[RedisTarget, Thread] = {}
        self._changed = Condition()
        self._counts: Counter[str] = Counter()
        self._ending = Event()
        self._end_s = math.inf

    @property
    def counts(self) -> dict[str, int]:
        """Return how many actions there were so far, by outcome, and how many wait."""
        with self._changed:
            counted = {f"actions_{name}": self._counts[name] for name in _COUNTED}
            return {**counted, "actions_queued": self._backlog.queued}

    @property
    def targets(self) -> int:
        """How many targets have a connection."""
        return len(self._threads)

    def submit(self, target: RedisTarget, job: Job) -> None:
        """Queue a job; returns at once."""
        with self._changed:
            dropped = self._backlog.put(target, job)
            self._counts["dropped"] += sum(job.size for _, job in dropped)
            if target not in self._threads:
                self._threads[target] = Thread(target=self._serve, args=(target,), name="actions", daemon=True)
                self._threads[target].start()
            self._changed.notify_all()

    def close(self, within_s: float = 2.0) -> None:
        """Run what waits, without a second attempt, for at most `within_s`; drop the rest."""
        with self._changed:
            self._end_s = time.monotonic() + within_s
            self._ending.set()
            self._changed.notify_all()
            threads = list(self._threads.values())
        for thread in threads:
            thread.join(max(0.0, self._end_s - time.monotonic()))
        if left := self.counts["actions_queued"]:
            log.warning("actions: %d are left undone as this worker ends", left)

    def _serve(self, target: RedisTarget) -> None:
        outlet = Outlet(target, give_up_s=self._give_up_s, count=self._count, pause=self._pause)
        with closing(outlet):
            while (job := self._next(target)) is not None:
                outlet.run(job)

    def _next(self, target: RedisTarget) -> Job | None:
        """Return the target's next job; None, when it has had none for long, or all is to end."""
        idle_until_s = time.monotonic() + self._idle_s
        with self._changed:
            while (now_s := time.monotonic()) < self._end_s:
                job = self._backlog.take(target)
                if job is not None:
                    return job
                if now_s >= idle_until_s or self._ending.is_set():
                    break
                self._changed.wait(idle_until_s - now_s)
            del self._threads[target]
            return None

    def _pause(self, seconds: float) -> bool:
        return not self._ending.wait(seconds)

    def _count(self, name: str, number: int) -> None:
        with self._changed:
            self._counts[name] += number
