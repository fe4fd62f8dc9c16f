"""What is dropped when there is no room, and from whom."""

from __future__ import annotations

import numpy as np

from mpta.manifest import RedisTarget
from tasks.backlog import Backlog
from tasks.events import Job
from tests.unit.tasks.jobs import event, job, publish, save

AWAY, HERE = RedisTarget(host="away", port=1), RedisTarget(host="here", port=1)


def heavy(megabytes: int) -> Job:
    return job(event(save("k"), image=np.zeros((megabytes, 2**20, 1), np.uint8)))


def test_jobs_leave_in_the_order_in_which_they_came_each_for_its_own_target() -> None:
    backlog = Backlog()
    jobs = [job(event(publish("class"))) for _ in range(4)]
    for i, target in enumerate([AWAY, HERE, AWAY, HERE]):
        assert not backlog.put(target, jobs[i])

    assert [backlog.take(AWAY), backlog.take(HERE), backlog.take(AWAY), backlog.take(HERE)] == [
        *(jobs[0], jobs[1], jobs[2], jobs[3]),
    ]
    assert backlog.take(AWAY) is None


def test_the_oldest_goes_when_too_many_wait_for_one_target() -> None:
    backlog = Backlog(most_jobs=2)
    jobs = [job(event(publish("class"))) for _ in range(3)]
    backlog.put(HERE, job(event(publish("class"))))

    dropped = [backlog.put(AWAY, each) for each in jobs]

    assert dropped == [[], [], [(AWAY, jobs[0])]]
    assert backlog.take(AWAY) is jobs[1]
    assert backlog.queued == 2


def test_whoever_keeps_most_memory_loses_first() -> None:
    backlog = Backlog(most_bytes=10 * 2**20)
    first, second, late = heavy(4), heavy(4), heavy(3)
    backlog.put(AWAY, first)
    backlog.put(AWAY, second)

    assert backlog.put(HERE, late) == [(AWAY, first)]
    assert backlog.take(HERE) is late
    assert not backlog.put(HERE, late)


def test_what_could_never_fit_is_not_kept() -> None:
    backlog = Backlog(most_bytes=2**20)
    big = heavy(2)

    assert backlog.put(HERE, big) == [(HERE, big)]
    assert backlog.queued == 0
