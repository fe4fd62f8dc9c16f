"""`detector protocol-test`: it lets pass who keeps the protocol, and names the rules that a worker breaks."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

import pytest

from cli.conformance.command import RULES
from tests.integration.cli.workers import Foreign
from tests.integration.worker_api.gateways import Gateway
from tests.servers import RedisServer
from worker_api import tokens

pytestmark = pytest.mark.timeout(120)

LIVE = ["--camera", "rtsp://camera.example/works", "--model", "http://models.example/m.mpta"]


def judged(url: str, *options: str) -> tuple[int, dict[str, dict[str, str]]]:
    """Return the command's exit status, and rule -> reason by status."""
    command = [sys.executable, "-m", "cli.main", "protocol-test", url, "--json", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    found: dict[str, dict[str, str]] = defaultdict(dict)
    for record in json.loads(done.stdout)["rules"]:
        found[record["status"]][record["rule"]] = record["reason"]
    return done.returncode, found


def test_our_own_gateway_keeps_every_rule_that_needs_no_camera(server: RedisServer) -> None:
    token = tokens.new()
    with Gateway(state_url=server.url, tokens=tokens.entry("test", token)) as guarded:
        status, found = judged(f"ws://127.0.0.1:{guarded.port}/", "--token", token)

    assert (status, found["fail"]) == (0, {})
    assert found["not applicable"].keys() == {rule.name for rule in RULES if rule.live}


def test_a_worker_of_somebody_else_is_not_judged_by_rules_of_ours() -> None:
    with Foreign().running() as url:
        status, found = judged(url, *LIVE)

    assert (status, found["fail"]) == (0, {})
    ours = {rule.name for rule in RULES if rule.ours}
    assert found["not applicable"].keys() <= ours
    assert {rule.name for rule in RULES} - ours == found["pass"].keys() - ours


def test_a_worker_that_breaks_six_rules_is_told_which() -> None:
    wrong = {"always_online": True, "broken_time": True, "null_crops": True, "keeps_sessions": True, "fragile": True}
    with Foreign(beat_s=5.0, **wrong).running() as url:
        status, found = judged(url, *LIVE)

    assert status == 1
    times, others = {"heartbeat.rhythm", "detection.timestamp"}, {"session.bound", "malformed.survived"}
    assert found["fail"].keys() == times | others | {"online.dark_camera", "subscribe.crop"}
    assert "5.0 s" in found["fail"]["heartbeat.rhythm"]
    assert "127.0.0.1:9" in found["fail"]["online.dark_camera"]
    assert "%fZ" in found["fail"]["detection.timestamp"]


def test_where_nothing_listens_it_says_so_in_one_sentence() -> None:
    command = [sys.executable, "-m", "cli.main", "protocol-test", "ws://user:s3cret@127.0.0.1:9/"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("detector: no WebSocket at ws://")
    assert len(done.stderr.splitlines()) == 1
    assert "s3cret" not in done.stderr
