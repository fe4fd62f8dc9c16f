"""`python -m cli.healthcheck` beside a real server: what docker asks every half minute."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from redis import Redis

from contract import nodes
from contract.keys import Keys
from tests.servers import RedisServer

ROOT = Path(__file__).parents[3]


def check(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the health check as docker does."""
    env = {**os.environ, "DETECTOR_KEY_PREFIX": "t:", **variables}
    command = [sys.executable, "-m", "cli.healthcheck", *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=30, check=False)


def live(redis: Redis, keys: Keys, sign: nodes.Node) -> None:
    """Give a sign of life."""
    with redis.pipeline() as pipe:
        nodes.put(pipe, keys, sign)
        pipe.execute()


@pytest.fixture
def page() -> Iterator[HTTPServer]:
    """An HTTP server that knows /health."""

    class Page(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 404)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Say nothing."""

    with HTTPServer(("127.0.0.1", 0), Page) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield serving
        serving.shutdown()
        thread.join()


@pytest.mark.parametrize("arguments", [["worker"], []], ids=["by role", "whatever runs here"])
def test_a_worker_that_gave_a_sign_of_life_is_well(
    server: RedisServer, redis: Redis, keys: Keys, arguments: list[str]
) -> None:
    live(redis, keys, nodes.Pulse("worker").sign())

    done = check(*arguments, DETECTOR_STATE_URL=server.url)

    assert done.returncode == 0, done
    assert "lives; last sign" in done.stdout


def test_a_worker_without_a_sign_is_not_well(server: RedisServer, redis: Redis) -> None:
    assert redis.dbsize() == 0

    done = check("worker", DETECTOR_STATE_URL=server.url)

    assert done.returncode == 1
    assert "no worker process on" in done.stdout


def test_a_sign_that_ran_out_does_not_count(server: RedisServer, redis: Redis, keys: Keys) -> None:
    sign = nodes.Pulse("worker").sign()
    live(redis, keys, sign)
    redis.delete(keys.node(sign.id))  # As its expiry does; the list of nodes still names it.

    assert check("worker", DETECTOR_STATE_URL=server.url).returncode == 1


def test_a_sign_of_another_role_or_host_does_not_count(server: RedisServer, redis: Redis, keys: Keys) -> None:
    live(redis, keys, nodes.Pulse("capture").sign())
    live(redis, keys, replace(nodes.Pulse("worker").sign(), host="elsewhere"))

    assert check("worker", DETECTOR_STATE_URL=server.url).returncode == 1
    assert check("capture", DETECTOR_STATE_URL=server.url).returncode == 0


def test_without_a_state_server_nobody_is_well_and_one_sentence_says_so(tmp_path: Path) -> None:
    done = check("worker", DETECTOR_STATE_URL=f"unix://{tmp_path}/none.sock")

    assert done.returncode == 1
    assert "state server does not answer" in done.stdout
    assert done.stderr == ""


def test_a_gateway_that_answers_is_well(page: HTTPServer) -> None:
    assert check("gateway", DETECTOR_PORT=str(page.server_port), DETECTOR_HOST="0.0.0.0").returncode == 0


def test_a_page_that_answers_otherwise_is_not_well(page: HTTPServer) -> None:
    done = check("flower", DETECTOR_FLOWER_PORT=str(page.server_port))

    assert done.returncode == 1
    assert "answers 404" in done.stdout


def test_a_gateway_that_does_not_answer_is_not_well() -> None:
    done = check("gateway", DETECTOR_PORT="1")

    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("arguments", [["wroker"], ["worker", "capture"]])
def test_an_unknown_role_is_a_wrong_use(arguments: list[str]) -> None:
    done = check(*arguments)

    assert done.returncode == 1
    assert "usage" in done.stdout


def test_settings_that_make_no_sense_are_named() -> None:
    done = check("worker", DETECTOR_PORT="many")

    assert done.returncode == 1
    assert "DETECTOR_PORT" in done.stdout
