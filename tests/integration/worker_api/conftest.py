"""Gateways for the tests of this folder."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from redis import Redis

from tests.integration.worker_api.gateways import Cms, Gateway
from tests.servers import RedisServer


@pytest.fixture(scope="module")
def gateway(server: RedisServer) -> Iterator[Gateway]:
    """One gateway for all tests of a module."""
    with Gateway(state_url=server.url) as running:
        _ = running.port
        yield running


@pytest.fixture
def cms(redis: Redis, gateway: Gateway) -> Iterator[Cms]:
    """A CMS, connected to a cluster that holds nothing."""
    assert redis.dbsize() == 0
    with gateway.cms() as connected:
        yield connected
