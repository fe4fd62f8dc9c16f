"""Where results go and which are held back; what is told of the cluster."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import Literal

import pytest

from contract.keys import Cam
from contract.nodes import Node
from contract.problems import Problem
from contract.results import Entry
from contract.subscriptions import Source, Subscription
from worker_api.changes import State
from worker_api.cluster import View, busiest, not_ready
from worker_api.counters import Counters
from worker_api.hub import Hub
from worker_api.late import Late
from worker_api.meters import Meter
from worker_api.outbox import Outbox
from worker_api.reports import state_report
from worker_api.routes import CLOCK_STEP_MS

MINE = "gateway-a/1"
ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
    owner=MINE,
    revision=1,
)
NODE = Node(id="w1", role="worker", host="h", pid=1, cpu=5, memory=6, started_ms=0, sign_ms=100_000, progress_ms=99_000)
GATEWAY = replace(NODE, id="g1", role="gateway", cpu=1)
CAPTURE = replace(NODE, id="c1", role="capture")


class Desk:
    """A hub with one connection that owns `ONE`."""

    def __init__(self, empty: Literal["on_change", "always", "never"] = "on_change") -> None:
        self.counters = Counters()
        late = Late(self.counters, after_s=10, mode="patch", clock=lambda: self.now_ms)
        self.hub = Hub(self.counters, empty, late)
        self.outbox = Outbox(self.counters, late)
        self.hub.join(MINE, self.outbox)
        self.now_ms = 0
        self.own(ONE)

    def own(self, *subscriptions: Subscription) -> None:
        self.hub.rewire(State(1, {s.id: s for s in subscriptions}))
        if any(route.alive for route in self.hub._returned):
            returned = asyncio.run(self.hub.returned())
            for route in returned:
                route.begin((0, 0))
                self.hub.go_live(route, (0, 0))
            self.hub.placed(returned)

    def sent(self, captured_ms: int, *, nothing: bool = False) -> bool:
        self.hub.deliver((captured_ms, 0), Entry("d1;c1", captured_ms, nothing, b"body"))
        got = self.outbox.pop() is not None
        self.outbox.confirm()
        return got


def test_a_result_of_somebody_elses_goes_nowhere() -> None:
    desk = Desk()
    desk.own(replace(ONE, owner="gateway-b/1"))

    assert not desk.sent(1)
    desk.hub.tell(Problem("d1;c1", "overloaded", "slow"))
    assert desk.outbox.pop() is None


def test_a_connection_that_left_is_sent_nothing() -> None:
    desk = Desk()
    desk.hub.leave(MINE)

    assert not desk.sent(1)
    assert not desk.hub.connected


@pytest.mark.parametrize(
    ("empty", "sent"),
    [
        ("on_change", [True, False, True, True, False]),
        ("always", [True] * 5),
        ("never", [False, False, True, False, False]),
    ],
)
def test_when_it_is_said_that_nothing_is_seen(empty: Literal["on_change", "always", "never"], sent: list[bool]) -> None:
    desk = Desk(empty)

    assert [desk.sent(ms, nothing=ms != 3) for ms in range(1, 6)] == sent


def test_another_inference_makes_it_unknown_what_was_seen_last() -> None:
    desk = Desk()
    assert desk.sent(1, nothing=True)
    assert not desk.sent(2, nothing=True)

    desk.own(replace(ONE, revision=2, begun=2))

    assert desk.sent(3, nothing=True)


def test_other_peoples_changes_do_not_make_it_unknown() -> None:
    desk = Desk()
    assert desk.sent(1, nothing=True)

    desk.own(ONE, replace(ONE, id="d2;c2", revision=5))

    assert not desk.sent(2, nothing=True)


def test_an_older_frame_is_held_back_across_a_replacement() -> None:
    desk = Desk()
    assert desk.sent(2000)
    desk.own(replace(ONE, revision=2, begun=2, model_url="http://models/other.mpta"))

    assert not desk.sent(1999)
    assert desk.sent(2000)
    assert desk.counters.out_of_order == 1


def test_all_that_comes_is_metered_whatever_becomes_of_it() -> None:
    desk = Desk()
    desk.now_ms = 20_000
    [(_, meter)] = desk.hub.owned(MINE)

    assert desk.sent(19_000, nothing=True)
    assert not desk.sent(19_500, nothing=True)
    assert not desk.sent(18_000)
    assert not desk.sent(1_000)

    assert (meter.results, meter.out_of_order, meter.late) == (4, 1, 1)
    assert meter.ages_s(time.monotonic()) == (1.0, 19.0)


def test_trouble_of_a_subscription_explains_that_nothing_comes() -> None:
    desk = Desk()
    [(_, meter)] = desk.hub.owned(MINE)
    assert not meter.in_trouble(time.monotonic())

    desk.hub.tell(Problem("d1;c1", "model_failed", "it failed"))

    assert meter.in_trouble(time.monotonic())


def test_a_clock_that_was_set_back_does_not_silence_a_camera() -> None:
    desk = Desk()
    assert desk.sent(10 * CLOCK_STEP_MS)

    assert desk.sent(CLOCK_STEP_MS)
    assert desk.sent(CLOCK_STEP_MS + 1)


def test_usages_are_the_gpus_then_the_cpus_then_the_gateways() -> None:
    small, large = replace(NODE, id="w2", gpu=10.0), replace(NODE, id="w3", gpu=20.0, cpu=1)

    assert busiest([GATEWAY, NODE, small, large], GATEWAY) is large
    assert busiest([GATEWAY, replace(NODE, cpu=1), NODE], GATEWAY) is NODE
    assert busiest([CAPTURE], GATEWAY) is GATEWAY


def test_a_view_that_is_old_says_no_camera_is_online() -> None:
    view = View(at_s=100.0, online=frozenset({ONE.source.cam}))

    online = [
        json.loads(state_report(NODE, view, now_s, [(ONE, Meter(ONE, 0.0))], []).text())["cameraConnections"][0][
            "online"
        ]
        for now_s in (101.0, 110.0)
    ]

    assert online == [True, False]


@pytest.mark.parametrize(
    ("living", "online", "now_s", "reason"),
    [
        ([NODE, CAPTURE], {ONE.source.cam}, 1.0, None),
        ([NODE, CAPTURE], {ONE.source.cam}, 9.0, "the Redis servers cannot be reached"),
        ([NODE], set(), 1.0, "no capture process is alive"),
        ([CAPTURE], set(), 1.0, "no worker process is alive"),
        ([NODE, replace(CAPTURE, progress_ms=0)], set(), 1.0, "no capture process has made progress for 30 s"),
        (
            [replace(NODE, progress_ms=0), CAPTURE],
            {ONE.source.cam},
            1.0,
            "no worker process has made progress for 30 s",
        ),
        ([replace(NODE, progress_ms=0), CAPTURE], set(), 1.0, None),
        ([replace(NODE, progress_ms=0), NODE, CAPTURE], {ONE.source.cam}, 1.0, None),
    ],
)
def test_readiness_names_what_is_missing(
    living: list[Node], online: set[Cam], now_s: float, reason: str | None
) -> None:
    view = View(at_s=0.0, living=living, online=online)

    assert not_ready(view, now_s, [ONE]) == reason
