"""Whose word counts on how far a subscription was delivered, and what a session's history holds."""

from __future__ import annotations

import asyncio

import pytest
from redis import Redis

from contract import clients, cursors, sessions, subscriptions
from contract.cursors import Cursor
from contract.errors import RecordInvalid
from contract.keys import Keys
from contract.subscriptions import Source, Subscription
from tests.servers import RedisServer

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
)


@pytest.fixture
def wanted(redis: Redis, keys: Keys) -> None:
    """`ONE` is wanted."""
    pipe = redis.pipeline()
    subscriptions.put(pipe, keys, ONE)
    pipe.execute()


def put(server: RedisServer, keys: Keys, *noted: Cursor, subscription: str = ONE.id) -> None:
    async def story() -> None:
        async with clients.connect_async(server.url, "test") as client:
            for cursor in noted:
                await cursors.put(client, keys, {subscription: cursor})

    asyncio.run(story())


def known(redis: Redis, keys: Keys) -> Cursor | None:
    raw = redis.hget(keys.cursors, ONE.id)
    return cursors.decode(keys, raw) if isinstance(raw, bytes) else None


def cursor(revision: int, ms: int) -> Cursor:
    return Cursor(revision, (ms, 7), 5, True, 3)


@pytest.mark.usefixtures("wanted")
def test_the_later_owners_word_counts_also_when_the_former_speaks_last(
    server: RedisServer, redis: Redis, keys: Keys
) -> None:
    put(server, keys, cursor(1, 10), cursor(2, 20), cursor(1, 30))
    assert known(redis, keys) == cursor(2, 20)

    put(server, keys, cursor(2, 25), cursor(10, 15))
    assert known(redis, keys) == cursor(10, 15)


def test_of_what_has_ended_nothing_is_noted(server: RedisServer, redis: Redis, keys: Keys) -> None:
    put(server, keys, cursor(1, 10))

    assert known(redis, keys) is None


def test_a_cursor_that_cannot_be_read_says_so(keys: Keys) -> None:
    with pytest.raises(RecordInvalid, match="cursors: a cursor cannot be read"):
        cursors.decode(keys, b"1 2 3")


def test_sessions_are_remembered_for_as_long_as_results_are() -> None:
    history: sessions.Changes = ()
    for since_ms, session in ((0, 1), (100, 2), (200, None), (1150, 3)):
        history = sessions.extended(history, since_ms, session, kept_ms=1000)

    assert history == ((100, 2), (200, None), (1150, 3))
    assert [sessions.at(history, ms) for ms in (50, 100, 199, 200, 2000)] == [None, 2, 2, None, 3]


def test_a_history_is_bounded_however_often_a_session_changes() -> None:
    history: sessions.Changes = ()
    for ms in range(3 * sessions.HISTORY):
        history = sessions.extended(history, ms, ms, kept_ms=10**9)

    assert len(history) == sessions.HISTORY
    assert history[-1] == (3 * sessions.HISTORY - 1, 3 * sessions.HISTORY - 1)


def test_sessions_that_cannot_be_read_cost_no_other_display_its_own(redis: Redis, keys: Keys) -> None:
    redis.hset(keys.sessions, mapping={"d1": b"[[1, 5]]", "d2": b"{}x", "d3": b"[[1]]"})

    assert sessions.read(redis, keys, ["d1", "d2", "d3", "d4"]) == {"d1": ((1, 5),)}
