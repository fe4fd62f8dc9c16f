"""`contract.work`, step by step, against a real server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import cast

import pytest
from redis import Redis

from contract.keys import Group, Keys, PipelineId
from contract.results import Entry
from contract.work import Finished, Turn, Turner, Wake, mark
from tests.servers import eventually

P = PipelineId("p")
A, B, C = Group("a"), Group("b"), Group("c")


@pytest.fixture
def turner(redis: Redis, keys: Keys) -> Turner:
    return Turner(redis=redis, keys=keys, pipeline=P, retention_ms=60_000)


def marked(turner: Turner, seq: int, *groups: Group) -> Wake:
    return mark(turner.redis, turner.keys, seq, {P: groups})[P]


def claim(turner: Turner, room: int = 4) -> Turn:
    return turner.turn(room=room, answers_wake=True)


def finish(turner: Turner, turn: Turn, *, room: int = 0) -> Turn:
    items = (finished(c.group, c.seen) for c in turn.claims)
    return turner.turn(room=room, answers_wake=False, batch=turn.batch, finished=items)


def finished(group: Group, seq: int, tracks: bytes = b"") -> Finished:
    return Finished(group, seq, tracks, (Entry(f"display;{group}", seq, False, b"{}"),))


def results(turner: Turner) -> list[tuple[str, int]]:
    entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", turner.redis.xrange(turner.keys.detections))
    return [(fields[b"s"].decode().split(";")[1], int(fields[b"c"])) for _, fields in entries]


def lease_runs_out(turner: Turner, *groups: Group) -> None:
    """Put the end of the leases, and any waiting time after them, into the past."""
    turner.redis.zadd(turner.keys.running(P), dict.fromkeys(groups, 0), xx=True)
    turner.redis.zadd(turner.keys.ready(P), dict.fromkeys(groups, 0), xx=True)


def test_a_marked_group_is_claimed_once(turner: Turner) -> None:
    marked(turner, 7, A)

    first, second = claim(turner), claim(turner)

    assert [(c.group, c.seen, c.done) for c in first.claims] == [(A, 7, 0)]
    assert second.claims == ()


def test_only_the_first_frame_of_an_idle_pipeline_asks_for_a_wake_up(turner: Turner) -> None:
    assert marked(turner, 1, A) is Wake.SEND
    assert marked(turner, 2, A, B) is Wake.NO


def test_a_wake_up_that_nobody_answers_is_sent_again_only_into_an_empty_queue(redis: Redis, keys: Keys) -> None:
    mark(redis, keys, 1, {P: [A]}, wake_ms=0)

    assert mark(redis, keys, 2, {P: [A]}, wake_ms=0)[P] is Wake.SEND_IF_QUEUE_EMPTY


def test_the_turn_that_answers_a_wake_up_arms_for_what_it_leaves(turner: Turner) -> None:
    marked(turner, 1, A, B, C)

    assert claim(turner, room=2).wake is Wake.SEND
    assert claim(turner, room=2).wake is Wake.NO


def test_while_a_worker_stays_no_wake_up_is_due_and_after_it_left_one_is(turner: Turner) -> None:
    turner.turn(room=4, answers_wake=True, stay_s=0.05)
    assert marked(turner, 1, A) is Wake.NO
    finish(turner, claim(turner))

    turner.turn(room=4, answers_wake=True)

    assert marked(turner, 2, A) is Wake.SEND


def test_a_worker_that_waits_is_rung_by_the_first_frame(turner: Turner) -> None:
    turner.turn(room=4, answers_wake=True, stay_s=30)
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(turner.wait, 30)
        assert marked(turner, 1, A) is Wake.NO

        waiting.result(timeout=10)

    assert [c.group for c in claim(turner).claims] == [A]


def test_a_bell_that_rang_for_work_that_is_done_rings_no_more(turner: Turner) -> None:
    turner.turn(room=4, answers_wake=True, stay_s=30)
    marked(turner, 1, A)
    finish(turner, claim(turner))

    turner.turn(room=4, answers_wake=True, stay_s=30)

    assert not turner.redis.exists(turner.keys.bell(P))


def test_a_worker_that_died_while_it_stayed_is_soon_forgotten(turner: Turner) -> None:
    turner.turn(room=4, answers_wake=True, stay_s=0.05)

    waits = f"{turner.keys.prefix}waits:{P}"
    assert 0 < turner.redis.pttl(waits) <= 100
    eventually(lambda: not turner.redis.exists(waits))
    assert marked(turner, 1, A) is Wake.SEND


def test_a_stream_never_outgrows_its_limit_by_much(redis: Redis, keys: Keys) -> None:
    for _ in range(5000):
        redis.xadd(keys.detections, {"s": "display;old", "b": "x" * 500})
    turner = Turner(redis=redis, keys=keys, pipeline=P, retention_ms=60_000, max_bytes=2**20)
    marked(turner, 1, A)

    finish(turner, claim(turner))

    assert 2**19 < (redis.memory_usage(keys.detections) or 0) < 1.1 * 2**20


def test_work_that_nobody_takes_any_more_is_forgotten_in_time(turner: Turner) -> None:
    marked(turner, 1, A)
    assert turner.redis.pttl(turner.keys.ready(P)) > 0

    claim(turner)

    assert turner.redis.pttl(turner.keys.running(P)) > 0


def test_a_frame_published_while_its_group_is_computed_makes_it_ready_when_that_ends(turner: Turner) -> None:
    marked(turner, 1, A)
    turn = claim(turner)
    marked(turner, 2, A)
    assert claim(turner).claims == ()

    following = finish(turner, turn, room=4)

    assert [(c.group, c.seen, c.done) for c in following.claims] == [(A, 2, 1)]


def test_a_result_newer_than_what_was_claimed_counts_for_the_frames_between(turner: Turner) -> None:
    marked(turner, 1, A)
    turn = claim(turner)
    marked(turner, 5, A)

    turner.turn(room=0, answers_wake=False, batch=turn.batch, finished=[finished(A, 5)])

    assert claim(turner).claims == ()
    assert results(turner) == [("a", 5)]


def test_a_mark_that_comes_after_its_frame_was_computed_makes_no_work(turner: Turner) -> None:
    marked(turner, 1, A)
    turn = claim(turner)
    turner.turn(room=0, answers_wake=False, batch=turn.batch, finished=[finished(A, 9)])

    assert marked(turner, 9, A) is Wake.NO
    assert claim(turner).claims == ()


def test_a_stale_worker_can_write_nothing(turner: Turner) -> None:
    marked(turner, 1, A)
    stale = claim(turner)
    lease_runs_out(turner, A)
    holder = claim(turner)
    turner.turn(room=0, answers_wake=False, batch=holder.batch, finished=[finished(A, 1, b"holder")])
    marked(turner, 2, A)

    late = turner.turn(room=0, answers_wake=False, batch=stale.batch, finished=[finished(A, 2, b"stale")])

    assert late.refused == 1
    assert results(turner) == [("a", 1)]
    assert claim(turner).claims[0].tracks == b"holder"


def test_a_lease_that_is_over_counts_for_nothing_even_before_another_worker_takes_the_group(turner: Turner) -> None:
    marked(turner, 1, A)
    stale = claim(turner)
    lease_runs_out(turner, A)
    marked(turner, 2, A)

    assert finish(turner, stale).refused == 1
    assert results(turner) == []


def test_a_result_that_is_not_newer_than_the_last_is_not_written(turner: Turner) -> None:
    marked(turner, 5, A)
    finish(turner, claim(turner))
    marked(turner, 6, A)
    turn = claim(turner)

    turner.turn(room=0, answers_wake=False, batch=turn.batch, finished=[finished(A, 5)])

    assert results(turner) == [("a", 5)]


def test_a_killed_worker_s_groups_are_ready_again_when_their_lease_is_over(turner: Turner) -> None:
    marked(turner, 1, A, B)
    claim(turner)
    lease_runs_out(turner, A, B)

    assert {c.group for c in claim(turner).claims} == {A, B}


def test_a_renewed_lease_is_not_reaped(turner: Turner) -> None:
    marked(turner, 1, A, B)
    turn = claim(turner)
    lease_runs_out(turner, A, B)

    assert turner.renew(turn.batch, [A]) == 1
    assert [c.group for c in claim(turner).claims] == [B]


def test_a_lease_that_was_taken_over_cannot_be_renewed(turner: Turner) -> None:
    marked(turner, 1, A)
    stale = claim(turner)
    lease_runs_out(turner, A)
    claim(turner)

    assert turner.renew(stale.batch, [A]) == 0


def test_what_kills_workers_twice_is_claimed_alone_and_later(turner: Turner) -> None:
    marked(turner, 1, A)
    claim(turner)
    lease_runs_out(turner, A)
    claim(turner)
    lease_runs_out(turner, A)
    marked(turner, 1, B, C)
    assert {c.group for c in claim(turner, room=1).claims} == {B}

    lease_runs_out(turner, A)

    assert [c.group for c in claim(turner).claims] == [A]
    assert [c.group for c in claim(turner).claims] == [C]


def test_a_success_clears_the_count_of_tries(turner: Turner) -> None:
    marked(turner, 1, A)
    for _ in range(3):
        turn = claim(turner)
        lease_runs_out(turner, A)
        if turn.claims:
            assert turner.renew(turn.batch, [A])
    finish(turner, turn)
    marked(turner, 2, A, B)

    assert len(claim(turner).claims) == 2


def test_old_results_leave_the_stream(redis: Redis, keys: Keys) -> None:
    redis.xadd(keys.detections, {"s": "display;old"}, id="1-0")
    for _ in range(200):  # Trimming is approximate: whole nodes of some hundred entries go.
        redis.xadd(keys.detections, {"s": "display;old"})
    turner = Turner(redis=redis, keys=keys, pipeline=P, retention_ms=-60_000)
    marked(turner, 1, A)

    finish(turner, claim(turner))

    assert redis.xlen(keys.detections) < 150


def test_groups_get_even_shares_under_five_fold_overload(turner: Turner) -> None:
    groups = [Group(f"g{i:02}") for i in range(20)]
    served = dict.fromkeys(groups, 0)
    turn = claim(turner)
    for seq in range(1, 301):
        marked(turner, seq, *groups)
        turn = finish(turner, turn, room=4)
        for c in turn.claims:
            served[c.group] += 1

    counts = list(served.values())
    jain = sum(counts) ** 2 / (len(counts) * sum(n * n for n in counts))
    assert jain >= 0.98


def test_the_version_of_the_wishes_comes_with_the_claim(turner: Turner) -> None:
    turner.redis.incr(turner.keys.version)

    assert claim(turner).version == 1
