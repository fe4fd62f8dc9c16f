"""What the HTTP side says of itself is what it does: every path, with inputs that nobody would think of."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from contract import frames
from contract.frames import Frame
from contract.keys import Keys
from tests.integration.worker_api.gateways import Cms, Gateway, stored
from tests.servers import RedisServer
from worker_api import tokens

TOKEN = tokens.new()
#: The schema's own example: it is asked for, so there has to be a picture of it.
EXAMPLE = "display-001;cam-001"


@pytest.fixture(scope="module")
def guarded(server: RedisServer) -> Iterator[Gateway]:
    """A gateway that wants a token."""
    with Gateway(state_url=server.url, tokens=tokens.entry("cms", TOKEN)) as running:
        _ = running.port
        yield running


def explore(gateway: Gateway, folder: Path, *options: str) -> None:
    """Let schemathesis try all that the gateway's OpenAPI document offers; fail with what it says is wrong."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{gateway.http}/openapi.json", "--no-color"]
    # A 503 is an answer like others; a 500 is in no document, so another check finds it.
    limits = ["--max-examples", "12", "--seed", "1", "--exclude-checks", "not_a_server_error"]
    done = subprocess.run([*command, *limits, *options], cwd=folder, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr


def test_the_answers_are_those_of_the_openapi_document(
    cms: Cms, gateway: Gateway, redis: Redis, keys: Keys, tmp_path: Path
) -> None:
    cms.subscribe(EXAMPLE)
    cam = stored(redis, keys, EXAMPLE).source.cam
    cms.settle()
    frames.put(redis, keys, Frame(cam=cam, seq=7, captured_ms=1, width=2, height=2, jpeg=b"\xff\xd8jpeg"), 60_000)

    explore(gateway, tmp_path)


def test_they_are_with_and_without_a_token(guarded: Gateway, redis: Redis, tmp_path: Path) -> None:
    assert redis.ping()

    explore(guarded, tmp_path, "--phases", "examples,coverage", "-H", f"Authorization: Bearer {TOKEN}")
