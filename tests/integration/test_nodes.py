"""Signs of life on a real server: who lives, how old a sign is, and what capture says of its cameras."""

from __future__ import annotations

import asyncio
from dataclasses import asdict, replace

import orjson
from redis import Redis

from contract import camera_states, clients, nodes
from contract.keys import Cam, Keys, PipelineId
from contract.nodes import Node, Pulse
from tests.servers import RedisServer, eventually

HOUR_MS = 3_600_000
AWAY = camera_states.fact(
    state="waiting", plays=False, since_ms=1, fps=0.0, code="camera_unreachable", reason="no answer"
)


def give(redis: Redis, keys: Keys, sign: Node) -> Node:
    """Give a sign of life."""
    pipe = redis.pipeline()
    nodes.put(pipe, keys, sign)
    pipe.execute()
    return sign


def test_who_gave_a_sign_lives_until_it_expires(redis: Redis, keys: Keys) -> None:
    sign = give(redis, keys, Pulse("worker").sign(device="cpu"))

    [read] = nodes.read(redis, keys)
    assert replace(read, age_ms=0) == sign
    assert read.facts == {"device": "cpu"}

    redis.delete(keys.node(sign.id))  # As its expiry does.
    assert nodes.read(redis, keys) == []
    assert redis.zcard(keys.nodes) == 0


def test_asyncio_reads_the_same(redis: Redis, keys: Keys, server: RedisServer) -> None:
    sign = give(redis, keys, Pulse("worker").sign())

    async def read() -> list[Node]:
        client = clients.connect_async(server.url, "test")
        try:
            return await nodes.read_async(client, keys)
        finally:
            await client.aclose()

    assert [node.id for node in asyncio.run(read())] == [sign.id]


def test_a_clock_that_is_off_hides_nobody_and_is_seen(redis: Redis, keys: Keys) -> None:
    sign = Pulse("worker").sign()
    give(redis, keys, replace(sign, sign_ms=sign.sign_ms - HOUR_MS, progress_ms=sign.progress_ms - HOUR_MS))

    [read] = nodes.read(redis, keys)

    assert read.age_ms < nodes.ALIVE_MS
    assert read.idle_s < nodes.STALLED_S
    assert abs(read.skew_ms + HOUR_MS) < 60_000


def test_the_age_of_a_sign_counts_as_idle_time(redis: Redis, keys: Keys) -> None:
    sign = give(redis, keys, Pulse("worker").sign())
    redis.pexpire(keys.node(sign.id), nodes.ALIVE_MS - 4_000)  # As if it was given four seconds ago.

    [read] = nodes.read(redis, keys)

    assert 4_000 <= read.age_ms < nodes.ALIVE_MS
    assert read.idle_s >= 4.0


def test_a_sign_of_another_version_hides_nobody_else(redis: Redis, keys: Keys) -> None:
    give(redis, keys, Pulse("worker").sign())
    known = give(redis, keys, Pulse("capture").sign())
    for name, content in {"newer": b'{"id": "n", "sign_ms": 1}', "odd": b"[]", "broken": b"{"}.items():
        redis.set(keys.node(name), content, px=nodes.ALIVE_MS)
        redis.zadd(keys.nodes, {name: 1})
    more = asdict(known) | {"colour": "red"}
    redis.set(keys.node(known.id), orjson.dumps(more), px=nodes.ALIVE_MS)

    assert {node.role for node in nodes.read(redis, keys)} == {"worker", "capture"}


def test_a_pulse_tells_how_much_is_done_in_a_second() -> None:
    pulse = Pulse("worker")

    assert pulse.sign(done=5).per_second > 0
    assert pulse.sign(done=5).per_second == 0
    assert pulse.sign(done=4).per_second == 0


def test_versions_are_told_by_package_and_all_that_run() -> None:
    signs = [Pulse("worker").sign(versions=each) for each in ({"p": "b", "q": "x"}, {"p": "a"}, {"p": "b"})]

    assert nodes.versions([*signs, Pulse("gateway").sign()]) == {PipelineId("p"): "a b", PipelineId("q"): "x"}


def test_of_two_daemons_the_younger_sign_counts(redis: Redis, keys: Keys) -> None:
    well = AWAY | {"state": "online", "plays": True, "code": None, "reason": None}
    old = give(redis, keys, Pulse("capture").sign(cameras={"c": AWAY, "d": AWAY}))
    redis.pexpire(keys.node(old.id), 5_000)
    young = give(redis, keys, Pulse("capture").sign(cameras={"c": well}))

    states = camera_states.of(nodes.read(redis, keys))

    assert (states[Cam("c")].daemon, states[Cam("c")].is_away) == (young.id, False)
    assert (states[Cam("d")].daemon, states[Cam("d")].is_away) == (old.id, True)


def test_for_how_long_is_told_whatever_the_hosts_clock(redis: Redis, keys: Keys) -> None:
    sign = Pulse("capture").sign(cameras={"c": AWAY | {"since_ms": nodes.now_ms() - HOUR_MS - 7_000}})
    give(redis, keys, replace(sign, sign_ms=sign.sign_ms - HOUR_MS))

    def seven_seconds() -> bool:
        return 7.0 <= camera_states.of(nodes.read(redis, keys))[Cam("c")].for_s < 60.0

    assert eventually(seven_seconds)


def test_what_cannot_be_read_of_cameras_hides_no_others(redis: Redis, keys: Keys) -> None:
    give(redis, keys, Pulse("capture").sign(cameras={"c": {"state": "online"}, "d": 7}))
    give(redis, keys, Pulse("capture").sign(cameras={"e": AWAY | {"colour": "red"}}))
    give(redis, keys, Pulse("worker").sign(cameras={"f": AWAY}))

    assert set(camera_states.of(nodes.read(redis, keys))) == {"e"}
