"""What waits for the targets of actions: in order for each, bounded for all."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from mpta.manifest import RedisTarget
from tasks.events import Job

#: Jobs that may wait for one target.
MOST_JOBS = 256
#: What the pictures of all waiting jobs may take: 43 frames of 1920x1080, less than the models of a worker.
MOST_BYTES = 256 * 2**20


@dataclass(slots=True)
class _Line:
    jobs: deque[Job] = field(default_factory=deque)
    bytes: int = 0


class Backlog:
    """Jobs by target. Not thread-safe.

    Where there is no room, the *oldest* job goes: it would be given up first anyway, and an event of now is worth more
    than one of half a minute ago. When memory is short, the target that keeps most of it loses first: one that is away
    costs the others nothing.
    """

    def __init__(self, most_jobs: int = MOST_JOBS, most_bytes: int = MOST_BYTES) -> None:
        self._most_jobs, self._most_bytes = most_jobs, most_bytes
        self._lines: dict[RedisTarget, _Line] = {}

    def put(self, target: RedisTarget, job: Job) -> list[tuple[RedisTarget, Job]]:
        """Add a job behind its target's others; return what had to go for it."""
        line = self._lines.setdefault(target, _Line())
        line.jobs.append(job)
        line.bytes += job.pixel_bytes
        dropped = []
        while len(line.jobs) > self._most_jobs:
            dropped.append((target, self._pop(target)))
        while sum(each.bytes for each in self._lines.values()) > self._most_bytes:
            heaviest = max(self._lines, key=lambda each: self._lines[each].bytes)
            dropped.append((heaviest, self._pop(heaviest)))
        return dropped

    def take(self, target: RedisTarget) -> Job | None:
        """Return the target's oldest job, or None."""
        return self._pop(target) if target in self._lines else None

    @property
    def queued(self) -> int:
        """How many actions wait."""
        return sum(job.size for line in self._lines.values() for job in line.jobs)

    def _pop(self, target: RedisTarget) -> Job:
        line = self._lines[target]
        job = line.jobs.popleft()
        line.bytes -= job.pixel_bytes
        if not line.jobs:
            del self._lines[target]
        return job
