"""From one state of subscriptions and sessions to the next, without a server."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from contract.subscriptions import Source, Subscription
from worker_api.changes import Bind, Change, Draft, Put, Remove, State
from worker_api.owners import Leave, Reap, Restore
from worker_api.protocol import Wish
from worker_api.sets import Assign

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
)
KEPT_MS = 300_000
MINE, OTHERS, REMOTE = "gateway-a/1", "gateway-a/2", "gateway-b/1"


def after(change: Change, *before: Subscription, now_ms: int = 1000, limit: int = 9, **displays: Any) -> Draft:
    draft = Draft(State(1, {s.id: s for s in before}, displays), now_ms, limit, KEPT_MS)
    change.apply(draft)
    return draft


def owned(owner: str, **fields: Any) -> Subscription:
    return replace(ONE, owner=owner, revision=1, **fields)


def reap(*alive: str, grace_ms: int = 500) -> Reap:
    return Reap("gateway-a", {MINE}, alive if alive else None, grace_ms)


def test_subscribing_takes_over_and_ends_the_time_of_grace() -> None:
    left = owned(REMOTE, orphaned_ms=900)

    (taken,) = after(Put(Wish(ONE, "me:pw"), MINE), left).subscriptions.values()

    assert (taken.owner, taken.orphaned_ms) == (MINE, None)
    assert taken.revision > left.revision


def test_a_revision_rises_even_when_the_clock_does_not() -> None:
    before = replace(ONE, owner=MINE, revision=5000)

    assert after(Put(Wish(ONE), MINE), before, now_ms=1000).subscriptions["d1;c1"].revision == 5001


def test_the_limit_refuses_new_ones_only() -> None:
    draft = Draft(State(1, {"d1;c1": owned(REMOTE)}), 1000, 1, KEPT_MS)

    assert Put(Wish(ONE), MINE).apply(draft) is None
    refusal = Put(Wish(replace(ONE, id="d1;c2")), MINE).apply(draft)

    assert refusal is not None
    assert json.loads(refusal)["code"] == "stream_limit"
    assert set(draft.subscriptions) == {"d1;c1"}


def test_removing_what_is_unknown_changes_nothing() -> None:
    assert set(after(Remove("x;y"), owned(MINE)).subscriptions) == {"d1;c1"}


def test_a_session_set_again_is_no_change() -> None:
    history = ((10, 5),)

    assert after(Bind("d1", 5), d1=history).sessions["d1"] is history
    assert after(Bind("d1", None), d1=history).sessions["d1"] == ((10, 5), (1000, None))


def test_leaving_begins_the_grace_of_ones_own() -> None:
    draft = after(Leave(MINE), owned(MINE), replace(ONE, id="d2;c1", owner=OTHERS))

    assert [s.orphaned_ms for s in draft.subscriptions.values()] == [1000, None]


def test_a_living_gateways_connections_are_left_to_it() -> None:
    before = owned(REMOTE)

    assert after(reap("gateway-b"), before).subscriptions["d1;c1"] is before
    assert after(reap(), before).subscriptions["d1;c1"] is before


def test_a_dead_gateways_subscriptions_are_orphans() -> None:
    assert after(reap("gateway-c"), owned(REMOTE)).subscriptions["d1;c1"].orphaned_ms == 1000


def test_a_gateway_knows_its_own_connections_best() -> None:
    assert after(reap(), owned(OTHERS)).subscriptions["d1;c1"].orphaned_ms == 1000
    assert after(reap(), owned(MINE, orphaned_ms=10)).subscriptions["d1;c1"].orphaned_ms is None


def test_after_the_grace_orphans_end_and_so_do_sessions_that_nobody_needs() -> None:
    ended = owned(OTHERS, orphaned_ms=500)
    kept = replace(ended, id="d2;c1", display="d2", orphaned_ms=501)
    gone_too = replace(ended, id="d2;c2", display="d2")

    draft = after(reap(), ended, kept, gone_too, d1=((1, 5),), d2=((1, 6),), d3=((1, 7),))

    assert set(draft.subscriptions) == {"d2;c1"}
    assert set(draft.sessions) == {"d2", "d3"}


def test_an_orphan_of_another_living_gateway_ends_too() -> None:
    assert not after(reap("gateway-b"), owned(REMOTE, orphaned_ms=1)).subscriptions


def test_a_server_without_memory_is_told_again_by_who_knows() -> None:
    lost = State(9, {"d1;c1": owned(MINE), "d2;c1": replace(ONE, id="d2;c1", owner=REMOTE)}, {"d1": ((1, 5),)})

    draft = after(Restore(lost, {MINE}, {"d1;c1": "me:pw"}))

    assert set(draft.subscriptions) == {"d1;c1"}
    assert draft.credentials == {"d1;c1": "me:pw"}
    assert draft.sessions == {"d1": ((1, 5),)}


def test_a_set_takes_over_what_another_has_and_leaves_alone_what_is_refused() -> None:
    theirs = replace(ONE, id="d2;c1", owner=REMOTE, revision=1)
    draft = Draft(State(1, {"d1;c1": owned(MINE), "d2;c1": theirs}), 1000, 2, KEPT_MS)

    text = Assign(MINE, [Wish(theirs), Wish(replace(ONE, id="d3;c1"))]).apply(draft)

    assert text is not None
    answer = json.loads(text)["payload"]
    assert (answer["replaced"], answer["removed"], answer["added"]) == (["d2;c1"], ["d1;c1"], ["d3;c1"])
    assert draft.subscriptions["d2;c1"].owner == MINE


def test_a_set_beyond_the_limit_says_which_did_not_fit() -> None:
    draft = Draft(State(1, {"d2;c1": replace(ONE, id="d2;c1", owner=REMOTE)}), 1000, 1, KEPT_MS)

    text = Assign(MINE, [Wish(ONE)]).apply(draft)

    assert text is not None
    (refused,) = json.loads(text)["payload"]["refused"]
    assert (refused["subscriptionIdentifier"], refused["code"]) == ("d1;c1", "stream_limit")


def test_an_unchanged_item_of_a_set_still_brings_a_new_password() -> None:
    draft = Draft(State(1, {"d1;c1": owned(MINE)}), 1000, 9, KEPT_MS)

    Assign(MINE, [Wish(ONE, "me:new")]).apply(draft)

    assert draft.credentials == {"d1;c1": "me:new"}
    assert draft.subscriptions["d1;c1"].revision == 1
