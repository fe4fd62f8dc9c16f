"""Rates and ages of one subscription, and when it counts as overloaded."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from contract import camera_states
from contract.keys import PipelineId
from contract.nodes import Node
from contract.subscriptions import Source, Subscription
from worker_api.cluster import View
from worker_api.messages import NodeState
from worker_api.meters import Meter
from worker_api.overload import Overload
from worker_api.rates import possible_fps
from worker_api.reports import NODES, node_states, state_report

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
    fps=10.0,
)


def meter(fps: float, until_s: float, *, age_s: float = 0.1) -> Meter:
    """Return a meter to which results came at this rate, from second 0 on."""
    made = Meter(ONE, 0.0)
    for number in range(1, int(until_s * fps) + 1):
        made.arrived(number / fps, age_s)
    return made


@pytest.mark.parametrize("fps", [0.5, 2, 6, 10, 60])
def test_the_rate_is_that_of_the_last_seconds(fps: float) -> None:
    assert meter(fps, 30).achieved_fps(30.0) == pytest.approx(fps, rel=0.05)


def test_the_rate_falls_when_nothing_comes_any_more() -> None:
    stopped = meter(10, 30)

    assert 4 < stopped.achieved_fps(34.0) < 7.5
    assert stopped.achieved_fps(41.0) == 0
    assert stopped.ages_s(41.0) is None


def test_who_has_just_come_is_not_judged_by_the_time_before() -> None:
    assert meter(10, 2).achieved_fps(2.0) == pytest.approx(10)


def test_half_and_most_of_the_ages() -> None:
    made = Meter(ONE, 0.0)
    for number in range(1, 21):
        made.arrived(1.0, number / 10)

    assert made.ages_s(1.0) == (1.0, 1.9)


def test_frames_without_a_result_were_superseded() -> None:
    made = Meter(ONE, 0.0)
    for second in range(11):
        made.offered(second, 1_000 + 10 * second)
        for _ in range(4):
            made.arrived(second, 0.1)

    assert made.offered_fps == pytest.approx(10)
    assert made.superseded == 100 - 40 - 2


def test_what_keeps_up_supersedes_nothing_though_two_frames_are_under_way() -> None:
    made = Meter(ONE, 0.0)
    for second in range(11):
        made.offered(second, 10 * second + 2)
        for _ in range(10):
            made.arrived(second, 0.1)

    assert made.superseded == 0


def test_a_server_that_forgot_its_counts_takes_nothing_back() -> None:
    made = Meter(ONE, 0.0)
    for second in range(6):
        made.offered(second, 10 * second)
    superseded = made.superseded
    assert superseded == 48

    made.offered(6, 0)
    assert (made.superseded, made.offered_fps) == (superseded, 0)
    made.offered(12, 60)
    assert made.superseded == pytest.approx(superseded + 60, abs=2)
    assert made.offered_fps == pytest.approx(10)


def test_an_overload_is_told_when_it_lasts_then_seldom_and_anew_after_a_recovery() -> None:
    overload = Overload()

    def judge(now_s: float, achieved_fps: float) -> bool:
        return overload.judge(now_s, possible_fps=10.0, achieved_fps=achieved_fps)

    assert [judge(second, 4.0) for second in range(12)] == [False] * 10 + [True, False]
    assert overload.factor == 2.5
    assert [judge(second, 4.0) for second in (100, 309.9, 310.0, 311)] == [False, False, True, False]
    # Somewhat better is not well, and once it is well it must last again.
    assert not judge(320.0, 6.0)
    assert overload.factor is not None
    assert not judge(321.0, 7.0)
    assert overload.factor is None
    assert [judge(second, 4.0) for second in (330, 339, 340)] == [False, False, True]


def test_a_short_or_a_mild_one_is_not_told() -> None:
    overload = Overload()

    assert not any(overload.judge(s, possible_fps=10.0, achieved_fps=1.0 if s % 9 else 5.0) for s in range(1, 60))
    assert not any(overload.judge(s, possible_fps=10.0, achieved_fps=5.0) for s in range(60, 120))
    assert not any(overload.judge(s, possible_fps=0.2, achieved_fps=0.0) for s in range(120, 200))


def test_nothing_at_all_is_an_overload_too() -> None:
    overload = Overload()

    assert [overload.judge(s, possible_fps=10.0, achieved_fps=0.0) for s in (0, 10)] == [False, True]
    assert overload.factor == 100


def test_an_overload_is_no_word_for_what_something_else_explains() -> None:
    holds = View.of(10.0, [node(1, "worker", facts={"versions": {ONE.pipeline: "abc"}})], ())
    found = Meter(ONE, 0.0)
    assert possible_fps(ONE, found, 10.0, holds) == 0  # What the camera gives is not known yet.
    found.offered(0, 0)
    found.offered(10, 60)

    assert possible_fps(ONE, found, 10.0, holds) == 6
    assert possible_fps(replace(ONE, fps=5.0), found, 10.0, holds) == 5
    assert possible_fps(ONE, found, 10.0, View.of(10.0, [], ())) == 0
    assert possible_fps(ONE, found, 60.0, holds) == 0
    found.troubled(10.0)
    assert possible_fps(ONE, found, 11.0, holds) == 0
    assert possible_fps(ONE, found, 26.0, replace(holds, at_s=26.0)) == 6


def node(number: int, role: str, **fields: object) -> Node:
    """Return a sign."""
    known = {"host": "h", "pid": 1, "cpu": 5.0, "memory": 6.0, "started_ms": 0, "sign_ms": 9_000, "progress_ms": 8_000}
    return Node(**({"id": f"{role}-{number:03}", "role": role} | known | fields))  # type: ignore[arg-type]


def test_a_report_says_what_comes_of_a_subscription() -> None:
    said = camera_states.fact(
        state="black", plays=True, since_ms=0, fps=9.9, code="camera_image", reason="the picture is black"
    )
    found = Meter(ONE, 0.0)
    living = [
        node(1, "capture", facts={"cameras": {found.cam: said}}, skew_ms=500),
        node(2, "worker", facts={"versions": {PipelineId(ONE.pipeline): "abc"}}),
    ]
    for number in range(1, 11):
        found.arrived(number, 0.5)
    found.offered(0, 0)
    found.offered(10, 40)
    found.replaced, found.late, found.out_of_order = 3, 4, 5
    for second in range(11):
        found.overload.judge(second, possible_fps=4.0, achieved_fps=1.0)

    report = state_report(living[1], View.of(10.0, living, {found.cam}), 10.0, [(ONE, found)], [])

    [camera] = json.loads(report.text())["cameraConnections"]
    assert camera == {
        "subscriptionIdentifier": "d1;c1",
        "modelId": 1,
        "modelName": "m",
        "online": True,
        "requestedFps": 10.0,
        "achievedFps": 1.0,
        "cameraFps": 9.9,
        "overload": 4.0,
        # The capture host's clock is half a second ahead.
        "frameAge": {"p50": 1.0, "p95": 1.0},
        "dropped": {"superseded": 38, "replaced": 3, "late": 4, "outOfOrder": 5},
        "pipelineVersion": "abc",
        "state": "black",
        "stateSince": "1969-12-31T23:59:59.500Z",
        "reason": "the picture is black",
    }


def test_a_camera_of_which_nothing_is_known_has_no_state() -> None:
    report = state_report(node(1, "worker"), View.of(0.0, [], ()), 0.0, [(ONE, Meter(ONE, 0.0))], [])

    [camera] = json.loads(report.text())["cameraConnections"]
    unknown = ("cameraFps", "overload", "frameAge", "pipelineVersion", "state", "stateSince", "reason")
    assert {name: camera[name] for name in unknown} == dict.fromkeys(unknown)
    assert camera["online"] is False


@pytest.mark.parametrize(
    ("said", "online"),
    [
        ({"state": "online", "plays": True, "code": None}, True),
        ({"state": "black", "plays": True, "code": "camera_image"}, True),
        ({"state": "waiting", "plays": False, "code": None}, True),
        ({"state": "waiting", "plays": False, "code": "camera_stalled"}, False),
    ],
)
def test_a_camera_that_is_known_to_be_away_is_not_online_though_its_frame_is_fresh(
    said: dict[str, object], online: bool
) -> None:
    cam = ONE.source.cam
    fact = camera_states.fact(state="", plays=False, since_ms=0, fps=0.0, code=None, reason=None) | said

    view = View.of(0.0, [node(1, "capture", facts={"cameras": {cam: fact}})], [cam])

    assert (cam in view.online) is online


def test_the_processes_are_told_workers_first_and_so_many_at_most() -> None:
    living = [node(number, "gateway") for number in range(NODES)]
    living += [node(1, "capture", facts={"cameras": {"a": {}, "b": {}}}, age_ms=500, per_second=7.5)]
    living += [node(1, "worker", facts={"pipelines": {"m.mpta": "abc"}}, gpu=20.0, gpu_memory=30.0)]

    told = node_states(View.of(0.0, living, ()))

    assert len(told) == NODES
    assert told[0] == NodeState(
        id="worker-001",
        role="worker",
        host="h",
        cpu=5.0,
        memory=6.0,
        gpu=20.0,
        gpuMemory=30.0,
        perSecond=0.0,
        lastProgress=1.0,
        cameras=None,
        pipelines={"m.mpta": "abc"},
    )
    assert (told[1].role, told[1].cameras, told[1].lastProgress, told[1].perSecond) == ("capture", 2, 1.5, 7.5)
