"""What every integration test may ask for: `server` (a real one), `redis` (a client of it, emptied), `keys`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings
from redis import Redis

from contract import clients
from contract.keys import Keys
from tests.servers import RedisServer

#: Examples per property; the fuzzing of packages draws a multiple of it. By hand: `make fuzz`.
settings.register_profile("nightly", max_examples=2000, print_blob=True)
if "HYPOTHESIS_PROFILE" in os.environ:
    settings.load_profile(os.environ["HYPOTHESIS_PROFILE"])


@pytest.fixture(scope="session")
def server() -> Iterator[RedisServer]:
    """One server for all tests of the run, in every role."""
    # Not pytest's own folder: the path of a socket file may have 107 characters at most.
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        running = RedisServer(Path(home))
        running.start()
        yield running
        running.stop()


@pytest.fixture
def redis(server: RedisServer) -> Iterator[Redis]:
    """A client of `server`, which holds nothing yet."""
    with clients.connect(server.url, "test") as client:
        client.flushall()
        yield client


@pytest.fixture
def keys() -> Keys:
    """Keys under a prefix of the tests' own."""
    return Keys("t:")
