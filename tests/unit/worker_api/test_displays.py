"""How long sessions are kept that no subscription needs."""

from __future__ import annotations

from contract.subscriptions import Source, Subscription
from worker_api.changes import State
from worker_api.displays import UNUSED, UNUSED_S, Unused

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
)
BOTH = {"d1": ((1, 5),), "d2": ((1, 6),)}


def test_a_display_without_subscriptions_is_forgotten_after_an_hour() -> None:
    unused, state = Unused(), State(1, {ONE.id: ONE}, BOTH)

    assert unused.expired(state, 0.0) == []
    assert unused.expired(state, UNUSED_S) == []
    assert unused.expired(state, UNUSED_S + 1) == ["d2"]


def test_a_subscription_in_between_begins_the_hour_anew() -> None:
    unused = Unused()
    unused.expired(State(1, {}, BOTH), 0.0)
    unused.expired(State(1, {ONE.id: ONE}, BOTH), UNUSED_S)

    assert unused.expired(State(1, {}, BOTH), UNUSED_S + 1) == ["d2"]


def test_of_very_many_the_longest_unchanged_go_first() -> None:
    many = {f"d{n}": ((n, 5),) for n in range(UNUSED + 3)}

    assert Unused().expired(State(1, {}, many), 0.0) == ["d0", "d1", "d2"]
