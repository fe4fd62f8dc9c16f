"""Pictures are chosen by time, and waits grow."""

from __future__ import annotations

import itertools
import random

import pytest

from capture.pacing import LONGEST_WAIT_S, Pacer
from contract.backoff import backoff


def taken(pacer: Pacer, times_s: list[float]) -> list[float]:
    return [time_s for time_s in times_s if pacer.due(time_s)]


@pytest.mark.parametrize(
    ("played_fps", "wanted_fps"), [(25, 10), (25, 8), (30, 7.5), (12, 10), (10, 10), (5, 10), (25, 0.5)]
)
def test_the_wanted_rate_is_met_and_never_exceeded(played_fps: float, wanted_fps: float) -> None:
    jitter = random.Random(1)
    times = [(i + jitter.uniform(-0.2, 0.2)) / played_fps for i in range(int(played_fps * 60))]

    chosen = taken(Pacer(wanted_fps), times)

    assert len(chosen) == pytest.approx(60 * min(played_fps, wanted_fps), rel=0.03, abs=1)


def test_pictures_are_spread_evenly() -> None:
    chosen = taken(Pacer(1.0), [i / 25 for i in range(250)])

    assert all(0.9 <= later - earlier <= 1.1 for earlier, later in itertools.pairwise(chosen))


def test_a_gap_is_not_made_up_for() -> None:
    pacer = Pacer(1.0)
    taken(pacer, [i / 25 for i in range(50)])

    assert len(taken(pacer, [100 + i / 25 for i in range(25)])) == 1


def test_waits_double_with_jitter_up_to_the_longest() -> None:
    waits = list(itertools.islice(backoff(0.5), 12))

    assert all(0.5 * full <= wait <= full for wait, full in zip(waits, [0.5, 1, 2, 4, 8, 16], strict=False))
    assert max(waits) <= LONGEST_WAIT_S
    assert min(waits[7:]) >= LONGEST_WAIT_S / 2
