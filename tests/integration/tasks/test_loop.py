"""The loop of one wake-up, against a real server: how long it stays, and for whom it makes room."""

from __future__ import annotations

from threading import Event

import pytest
from redis import Redis

from contract.keys import Group, Keys, PipelineId
from contract.work import Finished, Turn, Turner, Wake, mark
from tasks.loop import Loop, Renewals
from tasks.slots import Slot

P, A = PipelineId("p"), Group("a")


@pytest.mark.parametrize("free", [True, False])
def test_a_loop_stays_for_what_comes_only_while_a_thread_is_free(redis: Redis, keys: Keys, free: bool) -> None:
    turner = Turner(redis=redis, keys=keys, pipeline=P, retention_ms=60_000)
    mark(redis, keys, 1, {P: [A]})
    sent: list[Wake] = []

    def compute(turn: Turn) -> list[Finished]:
        return [Finished(c.group, c.seen) for c in turn.claims]

    loop = Loop(turner, Slot(), compute, sent.append, Renewals(), Event(), batch_max=4, thread_free=lambda: free)
    tally = loop.run()

    assert (tally.frames, tally.batches) == (1, 1)
    # What is sent: once after the claim, once at the end, and between them once for every look.
    assert (len(sent) > 2) is free
    assert not redis.exists(keys.wake(P))


def test_a_loop_with_endless_work_makes_room_sooner_when_no_thread_is_free(redis: Redis, keys: Keys) -> None:
    turner = Turner(redis=redis, keys=keys, pipeline=P, retention_ms=60_000)

    def batches(free: bool) -> int:
        def compute(turn: Turn) -> list[Finished]:
            mark(redis, keys, turn.claims[0].seen + 1, {P: [A]})
            return [Finished(c.group, c.seen) for c in turn.claims]

        redis.flushall()
        mark(redis, keys, 1, {P: [A]})
        loop = Loop(turner, Slot(), compute, lambda _: None, Renewals(), Event(), batch_max=4, thread_free=lambda: free)
        return loop.run().batches

    assert batches(free=False) * 2 < batches(free=True)
