"""Gateways for the tests of this folder."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from tests.integration.worker_api.gateways import Cms, Gateway
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def gateway(server: RedisServer) -> Iterator[Gateway]:
    """One gateway for all tests of a file that leave it alive; other rooms' tests must not meet it on their server."""
    with Gateway(state_url=server.url) as running:
        _ = running.port
        yield running


@pytest.fixture
def mortal() -> Iterator[RedisServer]:
    """A server that a test may kill or spoil."""
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        running = RedisServer(Path(home))
        running.start()
        yield running
        running.stop()


@pytest.fixture
def cms(redis: Redis, gateway: Gateway) -> Iterator[Cms]:
    """A CMS, connected to a cluster that holds nothing."""
    assert redis.ping()
    with gateway.cms() as connected:
        yield connected
