"""One owner for each subscription: takeover, grace and return, across connections and gateways."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis
from websockets.exceptions import ConnectionClosed

from contract import nodes, sessions
from contract.keys import Keys
from tests.integration.worker_api.gateways import Cms, Gateway, add_result, gone, stored
from tests.servers import RedisServer, eventually


@pytest.fixture(scope="module")
def brief(server: RedisServer) -> Iterator[Gateway]:
    """A gateway that keeps what a lost CMS wanted for a second."""
    with Gateway(state_url=server.url, subscription_grace_seconds=1) as running:
        _ = running.port
        yield running


def reported(cms: Cms) -> list[str]:
    return [c["subscriptionIdentifier"] for c in cms.report()["cameraConnections"]]


def detections(cms: Cms) -> list[str]:
    return [m["subscriptionIdentifier"] for m in cms.seen if m["type"] == "imageDetection"]


@pytest.mark.parametrize("second", ["gateway", "brief"])
def test_results_go_to_who_subscribed_last(
    second: str, cms: Cms, redis: Redis, keys: Keys, request: pytest.FixtureRequest
) -> None:
    other_gateway: Gateway = request.getfixturevalue(second)
    cms.subscribe()
    first = stored(redis, keys)
    with other_gateway.cms() as other:
        other.subscribe()
        stored(redis, keys, fits=lambda s: s.owner != first.owner)
        cms.settle()
        eventually(lambda: not reported(cms))

        add_result(redis, keys, "d1;c1", 1000)

        other.expect("imageDetection")
        cms.settle()
        assert detections(cms) == []


def test_what_a_lost_cms_wanted_goes_on_for_the_time_of_grace(brief: Gateway, redis: Redis, keys: Keys) -> None:
    with brief.cms() as cms:
        cms.subscribe()
        cms.send({"type": "setSessionId", "payload": {"displayIdentifier": "d1", "sessionId": 5}})
        assert stored(redis, keys).orphaned_ms is None
        eventually(lambda: redis.hexists(keys.sessions, "d1"))

    assert stored(redis, keys, fits=lambda s: s.orphaned_ms is not None)
    gone(redis, keys, within_s=4)
    assert not redis.hexists(keys.sessions, "d1")


def test_a_cms_that_returns_takes_up_what_it_had(gateway: Gateway, redis: Redis, keys: Keys) -> None:
    with gateway.cms() as cms:
        cms.subscribe()
        cms.send({"type": "setSessionId", "payload": {"displayIdentifier": "d1", "sessionId": 5}})
        cms.settle()
        before = stored(redis, keys)
    orphan = stored(redis, keys, fits=lambda s: s.orphaned_ms is not None)

    with gateway.cms() as cms:
        cms.subscribe()
        back = stored(redis, keys, fits=lambda s: s.orphaned_ms is None)
        add_result(redis, keys, "d1;c1", 1000)
        cms.expect("imageDetection")

    assert (back.group, orphan.owner) == (before.group, before.owner)
    assert back.owner != before.owner
    assert [s for _, s in sessions.read(redis, keys, ["d1"])["d1"]] == [5]


def test_a_gateway_that_ends_says_1001_and_leaves_orphans(server: RedisServer, redis: Redis, keys: Keys) -> None:
    with Gateway(state_url=server.url) as ending, ending.cms() as cms:
        cms.subscribe()
        owner = stored(redis, keys).owner

        assert ending.end() == 0

        with pytest.raises(ConnectionClosed, match="1001"):
            cms.expect("never")
        assert stored(redis, keys).orphaned_ms is not None
        assert not redis.exists(keys.node(owner.rpartition("/")[0]))


@pytest.mark.timeout(40)
def test_what_a_killed_gateway_owned_is_nobodys(brief: Gateway, server: RedisServer, redis: Redis, keys: Keys) -> None:
    with Gateway(state_url=server.url) as killed, killed.cms() as cms:
        cms.subscribe()
        owner = stored(redis, keys).owner
        killed.process.kill()
        # Its sign would expire by itself after ALIVE_MS: 10 s that this test need not wait for a second time.
        pipe = redis.pipeline()
        nodes.remove(pipe, keys, owner.rpartition("/")[0])
        pipe.execute()

        gone(redis, keys, within_s=20)
        assert brief.process.poll() is None
