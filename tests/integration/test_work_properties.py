"""The invariants of `contract.work`, held while workers are killed, paused and late in every order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from redis import Redis

from contract import clients
from contract.keys import Group, Keys, PipelineId
from contract.results import Entry
from contract.work import Finished, Turn, Turner, Wake, mark
from tests.servers import RedisServer

P = PipelineId("p")
GROUPS = [Group(name) for name in "abcd"]
KEYS = Keys("t:")


class Workers(RuleBasedStateMachine):
    """Capture, any number of workers, and time, against one server."""

    redis: Redis
    batches = Bundle("batches")

    @initialize()
    def empty(self) -> None:
        self.redis.flushall()
        self.turner = Turner(redis=self.redis, keys=KEYS, pipeline=P, retention_ms=3_600_000)
        self.seq = 0
        self.newest = dict.fromkeys(GROUPS, 0)
        self.tracks: dict[Group, bytes] = {}

    @rule(groups=st.sets(st.sampled_from(GROUPS), min_size=1), marked=st.booleans())
    def publish(self, groups: set[Group], marked: bool) -> None:
        """A frame is stored; capture may die before it says so."""
        self.seq += 1
        for group in groups:
            self.newest[group] = self.seq
        if marked:
            mark(self.redis, KEYS, self.seq, {P: sorted(groups)})

    @rule(target=batches, room=st.integers(1, 5), answers=st.booleans(), stays=st.booleans())
    def claim(self, room: int, answers: bool, stays: bool) -> Turn:
        """A worker begins a batch, by a wake-up or by chance, and may stay for what comes."""
        return self._claimed(self.turner.turn(room=room, answers_wake=answers, stay_s=0.05 * stays))

    @rule(target=batches, turn=batches, room=st.integers(0, 5), upto=st.integers(0, 5))
    def finish(self, turn: Turn, room: int, upto: int) -> Turn:
        """A worker, perhaps one long given up, writes all or some of what it computed and claims more."""
        items = [self._finished(turn, c.group) for c in turn.claims[:upto]]
        ours = [item for item in items if self._lease(item.group) == turn.batch]
        for item in ours:
            if item.seq > self._number(item.group, "done"):
                self.tracks[item.group] = item.tracks

        following = self.turner.turn(room=room, answers_wake=False, batch=turn.batch, finished=items)

        assert following.refused == len(items) - len(ours)
        return self._claimed(following)

    @rule(group=st.sampled_from(GROUPS))
    def lease_runs_out(self, group: Group) -> None:
        """A worker is killed or paused for longer than its lease."""
        self.redis.zadd(KEYS.running(P), {group: 0}, xx=True)

    @rule()
    def time_passes(self) -> None:
        """Groups that had to wait after killing a worker may be claimed."""
        waiting = cast("list[bytes]", self.redis.zrange(KEYS.ready(P), 0, -1))
        if waiting:
            self.redis.zadd(KEYS.ready(P), dict.fromkeys(waiting, 1), xx=True)

    @rule(turn=batches)
    def renew(self, turn: Turn) -> None:
        """A batch takes long; only what it holds is prolonged."""
        groups = [c.group for c in turn.claims]
        held = [g for g in groups if self._lease(g) == turn.batch]

        assert self.turner.renew(turn.batch, groups) == len(held)

    @invariant()
    def no_result_twice_and_none_out_of_order(self) -> None:
        entries = cast("list[tuple[bytes, dict[bytes, bytes]]]", self.redis.xrange(KEYS.detections))
        last = dict.fromkeys(GROUPS, 0)
        for _, fields in entries:
            group, seq = Group(fields[b"s"].decode()), int(fields[b"c"])
            assert seq > last[group]
            last[group] = seq

    @invariant()
    def work_is_ready_or_running_and_never_both(self) -> None:
        ready = set(cast("list[bytes]", self.redis.zrange(KEYS.ready(P), 0, -1)))
        running = set(cast("list[bytes]", self.redis.zrange(KEYS.running(P), 0, -1)))
        assert not ready & running
        for group in GROUPS:
            if self._number(group, "seen") > self._number(group, "done"):
                assert group.encode() in ready | running

    @invariant()
    def whoever_can_claim_has_been_told(self) -> None:
        now = self.redis.time()
        claimable = self.redis.zcount(KEYS.ready(P), 2, now[0] * 1000 + now[1] / 1000)
        assert not claimable or self.redis.exists(KEYS.wake(P), KEYS.bell(P))

    @invariant()
    def tracks_are_those_of_the_newest_result(self) -> None:
        for group, tracks in self.tracks.items():
            assert self.redis.hget(KEYS.group(group), "tracks") == tracks

    def teardown(self) -> None:
        """Whatever happened, workers that do their work now leave nothing undone."""
        for _ in range(len(GROUPS) * 2):
            for group in GROUPS:
                self.lease_runs_out(group)
                self.time_passes()
            turn = self.claim(room=5, answers=True, stays=False)
            self.finish(turn, room=0, upto=5)
        for group in GROUPS:
            assert self._number(group, "done") >= self._number(group, "seen")
        assert self.turner.turn(room=0, answers_wake=True).wake is Wake.NO

    def _claimed(self, turn: Turn) -> Turn:
        for c in turn.claims:
            assert c.seen > c.done
            assert self._lease(c.group) == turn.batch
        return turn

    def _finished(self, turn: Turn, group: Group) -> Finished:
        """The frame read may be newer than the one claimed."""
        seq = self.newest[group]
        return Finished(group, seq, f"{turn.batch}:{seq}".encode(), (Entry(group, seq, False, b"{}"),))

    def _number(self, group: Group, field: str) -> int:
        return int(cast("bytes | None", self.redis.hget(KEYS.group(group), field)) or 0)

    def _lease(self, group: Group) -> str:
        return (cast("bytes | None", self.redis.hget(KEYS.group(group), "lease")) or b"").decode()


@pytest.fixture
def own_server() -> Iterator[RedisServer]:
    """A server of this test's own: thousands of `flushall` must hit nobody else."""
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        server = RedisServer(Path(home))
        server.start()
        yield server
        server.stop()


@pytest.mark.timeout(120)
def test_no_schedule_breaks_an_invariant(own_server: RedisServer) -> None:
    Workers.redis = clients.connect(own_server.url, "test")
    with Workers.redis:
        run_state_machine_as_test(
            Workers,
            settings=settings(
                max_examples=150,
                stateful_step_count=40,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            ),
        )
