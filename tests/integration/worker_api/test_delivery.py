"""Nothing lost, nothing late unsaid: what a CMS gets that was away, or whose gateway was."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import pytest
from redis import Redis

from contract import cursors
from contract.cursors import Cursor
from contract.keys import Keys
from contract.results import entry_id
from tests.integration.worker_api.gateways import Cms, Gateway, Message, add_result, gone, now, stored
from tests.servers import RedisServer, eventually

#: How long after its capture a detection is live here.
LIVE_S = 30


@contextmanager
def serving(server: RedisServer, **settings: object) -> Iterator[Gateway]:
    with Gateway(state_url=server.url, **{"patch_after_seconds": LIVE_S} | settings) as running:
        _ = running.port
        yield running


@pytest.fixture(scope="module")
def here(server: RedisServer) -> Iterator[Gateway]:
    with serving(server) as running:
        yield running


@pytest.fixture(scope="module")
def there(server: RedisServer) -> Iterator[Gateway]:
    with serving(server) as running:
        yield running


@pytest.fixture(scope="module")
def modes(server: RedisServer, here: Gateway) -> Iterator[dict[str, Gateway]]:
    with serving(server, replay="all") as sends_all, serving(server, replay="none") as sends_none:
        yield {"patch": here, "all": sends_all, "none": sends_none}


def detections(messages: list[Message]) -> list[int]:
    return [m["captured"] for m in messages if m["type"] == "imageDetection"]


def upto(cms: Cms, captured: int) -> list[Message]:
    """Return what comes until this detection does."""
    before = len(cms.seen)
    cms.expect("imageDetection", lambda m: m["captured"] == captured)
    return [m for m in cms.seen[before:] if m["type"] != "stateReport"]


def absent(gateway: Gateway, redis: Redis, keys: Keys, *identifiers: str, **payload: object) -> None:
    """Let a CMS subscribe, get one result of each, and go."""
    with gateway.cms() as cms:
        for identifier in identifiers:
            cms.subscribe(identifier, **payload)
            stored(redis, keys, identifier)
            captured = now()
            add_result(redis, keys, identifier, captured)
            upto(cms, captured)
    for identifier in identifiers:
        stored(redis, keys, identifier, fits=lambda s: s.orphaned_ms is not None)


def test_what_a_cms_missed_follows_in_order_before_what_is_live(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1", "d1;c2")
    begun = now()
    for i in range(1000):  # More than one read of the stream, and than an outbox holds.
        add_result(redis, keys, f"d1;c{1 + i % 2}", begun + i)

    with here.cms() as cms:
        cms.subscribe("d1;c1")
        cms.subscribe("d1;c2")
        add_result(redis, keys, "d1;c1", begun + 1000)
        got = detections(upto(cms, begun + 1000))
        rest = cms.settle()

    assert [c for c in got if c % 2 == begun % 2] == [begun + i for i in range(0, 1001, 2)]
    assert [c for c in got + detections(rest) if c % 2 != begun % 2] == [begun + i for i in range(1, 1000, 2)]


def test_results_that_come_during_a_replay_wait_and_follow(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1")
    begun, stop = now(), threading.Event()
    pipe = redis.pipeline(transaction=False)
    for i in range(3000):
        add_result(pipe, keys, "d1;c1" if i % 3 == 0 else "other;c", begun + i)
    pipe.execute()
    last = [begun + 3000]

    def produce() -> None:
        while not stop.is_set():
            add_result(redis, keys, "d1;c1", last[-1])
            last.append(last[-1] + 1)

    producer = threading.Thread(target=produce)
    producer.start()
    with here.cms() as cms:
        cms.subscribe()
        upto(cms, begun + 3100)
        stop.set()
        producer.join()
        upto(cms, last[-2])

    got = detections(cms.seen)
    assert got == [*range(begun, begun + 3000, 3), *last[:-1]]


@pytest.mark.parametrize("mode", ["patch", "all", "none"])
def test_what_is_older_follows_by_the_mode(mode: str, modes: dict[str, Gateway], redis: Redis, keys: Keys) -> None:
    gateway = modes[mode]
    with gateway.cms() as cms:
        cms.subscribe("d1;c1")
        cms.subscribe("d1;c2")
        stored(redis, keys, "d1;c2")
    stored(redis, keys, "d1;c2", fits=lambda s: s.orphaned_ms is not None)
    old, recent = now() - 1000 * (LIVE_S + 10), now()
    add_result(redis, keys, "d1;c1", old, session=5, detection={"carBrand": "Fiat", "licensePlateText": "AB"})
    add_result(redis, keys, "d1;c2", old + 1, session=5, detection={"carBrand": "Škoda", "carModel": None})
    add_result(redis, keys, "d1;c1", old + 2, session=6, detection={"carBrand": "Opel", "class": "car"})
    add_result(redis, keys, "d1;c1", old + 3, detection={"carBrand": "Seat"})
    add_result(redis, keys, "d1;c1", recent, session=6)

    with gateway.cms() as cms:
        cms.subscribe("d1;c1")
        cms.subscribe("d1;c2")
        got = upto(cms, recent)

    car = {"carBrand": "Škoda", "licensePlateText": "AB", "carModel": None}
    patches = [
        {"type": "patchSession", "sessionId": 5, "data": {"currentCar": car}},
        {"type": "patchSession", "sessionId": 6, "data": {"currentCar": {"carBrand": "Opel"}}},
    ]
    assert sorted((m for m in got if m["type"] == "patchSession"), key=lambda m: m["sessionId"]) == (
        patches if mode == "patch" else []
    )
    assert sorted(detections(got)) == ([old, old + 1, old + 2, old + 3, recent] if mode == "all" else [recent])
    if mode == "patch":
        # What is older comes first, as far as one and the same session or subscription sees it.
        kinds = [(m["type"], m.get("sessionId")) for m in got]
        assert kinds.index(("patchSession", 6)) < kinds.index(("imageDetection", 6))
        assert "detector_gateway_late_without_session_total" in httpx.get(f"{gateway.http}/metrics").text


def test_a_worker_that_falls_behind_patches_instead_of_speaking_of_cars_that_have_left(
    here: Gateway, redis: Redis, keys: Keys
) -> None:
    with here.cms() as cms:
        cms.subscribe()
        stored(redis, keys)
        old = now() - 1000 * (LIVE_S + 10)
        for i in range(5):
            add_result(redis, keys, "d1;c1", old + i, session="s", detection={"carYear": i})

        patch = cms.expect("patchSession")
        rest = cms.settle()

    assert patch == {"type": "patchSession", "sessionId": "s", "data": {"currentCar": {"carYear": 4}}}
    assert rest == []
    assert detections(cms.seen) == []
    assert "are workers behind, or are clocks apart?" in here.log


def test_another_gateway_goes_on_where_the_first_one_ended(
    here: Gateway, there: Gateway, redis: Redis, keys: Keys
) -> None:
    absent(here, redis, keys, "d1;c1")
    begun = now()
    for i in range(5):
        add_result(redis, keys, "d1;c1", begun + i)

    with there.cms() as cms:
        cms.subscribe()
        assert detections(upto(cms, begun + 4)) == [begun + i for i in range(5)]


def test_another_view_replays_nothing(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1")
    add_result(redis, keys, "d1;c1", now())

    with here.cms() as cms:
        cms.subscribe(cropX1=1, cropY1=2, cropX2=30, cropY2=40)
        stored(redis, keys, fits=lambda s: s.crop is not None)
        last = now()
        add_result(redis, keys, "d1;c1", last)
        assert detections(upto(cms, last)) == [last]


def test_what_was_ended_replays_nothing(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1")
    add_result(redis, keys, "d1;c1", now())

    with here.cms() as cms:
        cms.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": "d1;c1"}})
        cms.subscribe()
        stored(redis, keys, fits=lambda s: s.orphaned_ms is None)
        last = now()
        add_result(redis, keys, "d1;c1", last)
        assert detections(upto(cms, last)) == [last]


def test_after_the_grace_nothing_is_left_to_go_on_with(server: RedisServer, redis: Redis, keys: Keys) -> None:
    with serving(server, subscription_grace_seconds=0.2) as brief:
        with brief.cms() as cms:
            cms.subscribe()
            stored(redis, keys)
        gone(redis, keys)
        assert not redis.exists(keys.cursors)
        add_result(redis, keys, "d1;c1", now())

        with brief.cms() as cms:
            cms.subscribe()
            stored(redis, keys)
            last = now()
            add_result(redis, keys, "d1;c1", last)
            assert detections(upto(cms, last)) == [last]


def test_that_nothing_is_seen_is_neither_forgotten_nor_said_again(
    server: RedisServer, there: Gateway, redis: Redis, keys: Keys
) -> None:
    with serving(server) as killed, killed.cms() as cms:
        cms.subscribe()
        stored(redis, keys)
        said = now()
        add_result(redis, keys, "d1;c1", said, nothing=True)
        upto(cms, said)
        eventually(lambda: b" 1 " in (redis.hget(keys.cursors, "d1;c1") or b""))
        killed.process.kill()

    with there.cms() as cms:
        cms.subscribe()
        for i, nothing in enumerate([True, True, False, True, True, False]):
            add_result(redis, keys, "d1;c1", said + 1 + i, nothing=nothing)

        assert detections(upto(cms, said + 6)) == [said + 3, said + 4, said + 6]


def test_a_killed_gateway_loses_nothing_and_little_is_said_twice(
    server: RedisServer, there: Gateway, redis: Redis, keys: Keys
) -> None:
    names = [f"d{i};c{i}" for i in range(4)]
    sent: dict[str, list[int]] = {name: [] for name in names}
    stop = threading.Event()

    def produce() -> None:
        while not stop.wait(0.004):
            for name in names:
                sent[name].append(max(now(), sent[name][-1] + 1 if sent[name] else 0))
                add_result(redis, keys, name, sent[name][-1])

    producer = threading.Thread(target=produce)
    with serving(server) as killed, killed.cms() as cms:
        for name in names:
            cms.subscribe(name)
            stored(redis, keys, name)
        producer.start()
        first = [cms.expect("imageDetection") for _ in range(800)]
        killed.process.kill()
        first += _what_was_on_its_way(cms)
    with there.cms() as cms:
        for name in names:
            cms.subscribe(name)
        for _ in range(800):
            cms.expect("imageDetection")
        stop.set()
        producer.join()
        for name in names:
            if sent[name][-1] not in {m["captured"] for m in cms.seen if m.get("subscriptionIdentifier") == name}:
                cms.expect("imageDetection", lambda m, n=name: m["captured"] == sent[n][-1])  # type: ignore[misc]
    again = [m for m in cms.seen if m["type"] == "imageDetection"]

    for name in names:
        before = [m["captured"] for m in first if m["subscriptionIdentifier"] == name]
        after = [m["captured"] for m in again if m["subscriptionIdentifier"] == name]
        assert before == sorted(set(before))
        assert after == sorted(set(after))
        assert [c for c in sent[name] if c not in {*before, *after}] == []
        twice = sorted({*before} & {*after})
        assert not twice or twice[-1] - twice[0] < 1000
    ids = Counter((m["subscriptionIdentifier"], m["captured"], m["detectionId"]) for m in first + again)
    assert max(ids.values()) <= 2


def _what_was_on_its_way(cms: Cms) -> list[Message]:
    """Return the detections that a gateway had handed to its socket before it was killed."""
    got: list[Message] = []
    try:
        while True:
            got.append(cms.expect("imageDetection"))
    except Exception:  # noqa: BLE001 - however the connection ends
        return got


def test_what_the_stream_has_lost_is_told_once_and_the_rest_follows(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1")
    begun = now()
    for i in range(10):
        add_result(redis, keys, "d1;c1", begun + i)
    redis.xtrim(keys.detections, maxlen=4, approximate=False)

    with here.cms() as cms:
        cms.subscribe()
        got = upto(cms, begun + 9)
    with here.cms() as cms:
        cms.subscribe()
        last = now()
        add_result(redis, keys, "d1;c1", last)
        again = upto(cms, last)

    (lost,) = [m for m in got if m["type"] == "error"]
    assert (lost["code"], lost["subscriptionIdentifier"]) == ("results_lost", "d1;c1")
    assert lost["from"] < lost["to"]
    assert lost["from"] in lost["error"]
    assert detections(got) == [begun + i for i in range(6, 10)]
    assert [m["type"] for m in again] == ["imageDetection"]


def test_that_the_cursor_was_lost_is_told(here: Gateway, redis: Redis, keys: Keys) -> None:
    absent(here, redis, keys, "d1;c1")
    redis.delete(keys.cursors)

    with here.cms() as cms:
        cms.subscribe()
        assert cms.expect("error")["code"] == "results_lost"
        last = now()
        add_result(redis, keys, "d1;c1", last)
        upto(cms, last)


def test_who_takes_a_subscription_over_goes_on_where_the_other_was(here: Gateway, redis: Redis, keys: Keys) -> None:
    with here.cms() as first, here.cms() as second:
        first.subscribe()
        before = stored(redis, keys)
        begun = now()
        for i in range(10):
            add_result(redis, keys, "d1;c1", begun + i)
        upto(first, begun + 9)
        second.subscribe()
        stored(redis, keys, fits=lambda s: s.owner != before.owner)
        eventually(lambda: second.report()["cameraConnections"])
        for i in range(10, 20):
            add_result(redis, keys, "d1;c1", begun + i)

        assert detections(upto(second, begun + 19)) == [begun + i for i in range(10, 20)]
        assert detections(first.settle()) == []


def test_a_silent_cameras_cursor_moves_on_with_the_stream(here: Gateway, redis: Redis, keys: Keys) -> None:
    with here.cms() as cms:
        cms.subscribe("silent;c")
        stored(redis, keys, "silent;c")
        cms.subscribe("d1;c1")
        stored(redis, keys)
        last = now()
        add_result(redis, keys, "d1;c1", last)
        upto(cms, last)
        newest_ms, _ = entry_id(redis.xinfo_stream(keys.detections)["last-generated-id"])
    stored(redis, keys, "silent;c", fits=lambda s: s.orphaned_ms is not None)

    raw = redis.hget(keys.cursors, "silent;c")
    assert isinstance(raw, bytes)
    assert cursors.decode(keys, raw).next[0] >= newest_ms - 2000


def test_a_patch_that_failed_is_kept_for_the_operator(here: Gateway, redis: Redis, keys: Keys) -> None:
    with here.cms() as cms:
        result = {"sessionId": "s-1", "success": False, "message": "no such session"}
        cms.send({"type": "patchSessionResult", "payload": result})

        eventually(lambda: redis.xlen(keys.patch_failures))

    ((_, kept),) = redis.xrange(keys.patch_failures)  # type: ignore[misc]
    assert kept == {b"session": b'"s-1"', b"message": b"no such session"}


def test_what_went_into_a_dead_network_is_sent_again(here: Gateway, there: Gateway, redis: Redis, keys: Keys) -> None:
    def noted() -> Cursor:
        raw = redis.hget(keys.cursors, "d1;c1")
        assert isinstance(raw, bytes)
        return cursors.decode(keys, raw)

    # Who lets one message wait and reads no more answers no pings either, while its kernel takes what it gets.
    with here.cms(max_queue=1, close_timeout=0.1) as dead:
        dead.subscribe()
        stored(redis, keys)
        begun = now()
        add_result(redis, keys, "d1;c1", begun)
        upto(dead, begun)
        first_ms, _ = entry_id(redis.xinfo_stream(keys.detections)["last-generated-id"])
        eventually(lambda: noted().captured_ms)
        for i in range(1, 6):
            add_result(redis, keys, "d1;c1", begun + i)
        eventually(lambda: noted().next[0] > first_ms)
        eventually(lambda: noted().captured_ms == 0)

        with there.cms() as back:
            back.subscribe()
            got = detections(upto(back, begun + 5))

    assert got[-5:] == [begun + i for i in range(1, 6)]
