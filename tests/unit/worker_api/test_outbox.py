"""What a slow reader is sent, and how fast a CMS may talk."""

from __future__ import annotations

import asyncio

from worker_api.counters import Counters
from worker_api.limits import TokenBucket
from worker_api.outbox import REPLIES, Outbox


def test_heartbeats_go_first_then_answers_then_detections() -> None:
    outbox = Outbox(Counters())
    outbox.put_detection("a", b"detection")
    outbox.put_reply("answer 1")
    outbox.put_reply("answer 2")
    outbox.put_heartbeat("old heartbeat")
    outbox.put_heartbeat("heartbeat")

    assert [outbox.pop() for _ in range(5)] == ["heartbeat", "answer 1", "answer 2", "detection", None]


def test_the_newest_detection_of_each_subscription_is_kept_and_the_rest_counted() -> None:
    counters = Counters()
    outbox = Outbox(counters)
    for number in range(100):
        outbox.put_detection(f"s{number % 2}", str(number).encode())

    assert [outbox.pop() for _ in range(3)] == ["98", "99", None]
    assert counters.replaced == 98


def test_answers_are_bounded_and_the_oldest_go() -> None:
    counters = Counters()
    outbox = Outbox(counters)
    for number in range(3 * REPLIES):
        outbox.put_reply(str(number))

    assert outbox.pop() == str(REPLIES)
    assert counters.pushed_out == REPLIES


def test_there_is_room_again_once_answers_were_taken() -> None:
    async def story() -> tuple[bool, bool]:
        outbox = Outbox(Counters())
        for number in range(REPLIES):
            outbox.put_reply(str(number))
        waiting = asyncio.create_task(outbox.room())
        await asyncio.sleep(0)
        before = waiting.done()
        outbox.pop()
        await asyncio.wait_for(waiting, 1)
        return before, waiting.done()

    assert asyncio.run(story()) == (False, True)


def test_a_writer_wakes_for_what_is_put_and_sleeps_when_all_is_taken() -> None:
    async def story() -> str | None:
        outbox = Outbox(Counters())
        assert outbox.pop() is None
        waiting = asyncio.create_task(outbox.filled())
        await asyncio.sleep(0)
        assert not waiting.done()
        outbox.put_heartbeat("heartbeat")
        await asyncio.wait_for(waiting, 1)
        return outbox.pop()

    assert asyncio.run(story()) == "heartbeat"


def test_the_pace_is_a_mean_over_ten_seconds() -> None:
    pace = TokenBucket(rate=2, now_s=100.0)

    assert sum(pace.take(100.0) for _ in range(50)) == 20
    assert not pace.take(100.4)
    assert pace.take(101.0)
    assert sum(pace.take(1000.0) for _ in range(50)) == 20
