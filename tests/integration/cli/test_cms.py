"""`detector cms` in a script: what it says, what it shows, and what a recording makes it say again."""

from __future__ import annotations

import json
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from rich.console import Console

from cli.cms.commands import BadCommand, message_of, words
from cli.cms.recording import RecordingFailed, read
from cli.cms.wishes import Wishes
from cli.view import View
from contract.keys import Keys
from tests.integration.worker_api.conftest import gateway as gateway
from tests.integration.worker_api.gateways import Gateway, gone, stored


def cms(url: str, script: str, *options: object) -> subprocess.CompletedProcess[str]:
    """Run a script to its end."""
    command = [sys.executable, "-m", "cli.main", "cms", url, *map(str, options)]
    return subprocess.run(command, input=script, capture_output=True, text=True, check=False)


def address(gateway: Gateway) -> str:
    return f"ws://127.0.0.1:{gateway.port}/"


def test_a_script_subscribes_and_sees_what_comes(gateway: Gateway, redis: Redis, keys: Keys) -> None:
    script = """\
        # A comment, and an empty line.

        subscribe wall cam http://models.example/m.mpta rtsp://camera.example/one modelId=7 "modelName=two words"
        session wall 42
        state
        until stateReport
        subscribe wall bad m.mpta gopher://nowhere
        until error
        """
    done = cms(address(gateway), script, "--json")

    assert (done.returncode, done.stderr) == (0, "")
    messages = [json.loads(line) for line in done.stdout.splitlines()]
    listed = [c for m in messages if m["type"] == "stateReport" for c in m["cameraConnections"]]
    assert {(c["subscriptionIdentifier"], c["modelId"], c["modelName"]) for c in listed} == {
        ("wall;cam", 7, "two words")
    }
    assert [m["code"] for m in messages if m["type"] == "error"] == ["url_not_allowed"]
    assert stored(redis, keys, "wall;cam").model_id == 7


def test_what_was_recorded_is_said_again(gateway: Gateway, redis: Redis, keys: Keys, tmp_path: Path) -> None:
    file = tmp_path / "conversation.jsonl"
    wish = "subscribe wall cam m.mpta rtsp://camera.example/one"
    cms(address(gateway), f"{wish}\nsend {{'no json'\n", "--record", file)
    cms(address(gateway), f"{wish}\nstate\nuntil stateReport\nwait 0.2\n", "--record", file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    lines = read(file)
    assert {line.side for line in lines} == {"cms", "gateway"}
    assert [line.message["type"] for line in lines if line.side == "cms"] == ["subscribe", "requestState"]
    cms(address(gateway), "unsubscribe wall cam\nwait 0.2\n")
    gone(redis, keys, "wall;cam")

    again = cms(address(gateway), "until stateReport", "--replay", file, "--fast")

    assert again.returncode == 0
    assert stored(redis, keys, "wall;cam").source.url == "rtsp://camera.example/one"


def test_names_from_the_wire_move_no_cursor(gateway: Gateway, redis: Redis) -> None:
    assert redis.ping()
    name = "wall;[bold]\x1b[2J"
    script = f"send {json.dumps({'type': 'subscribe', 'payload': {'subscriptionIdentifier': name}})}\nuntil error\n"
    done = cms(address(gateway), f"until stateReport\n{script}state\nuntil stateReport\nwait 0.2\n")

    assert done.stdout.count("stateReport") == 1  # The one that was asked for.
    assert "[bold]\\x1b[2J" in done.stdout
    assert "\x1b" not in done.stdout


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("dance", "no such command: dance"),
        ("subscribe one", "expected subscribe DISPLAY CAMERA MODEL URL"),
        ("send [1]", "expected send and one JSON object"),
        ("subscribe a b c d e", "expected FIELD=VALUE, got e"),
        ("wait long", "expected seconds, got long"),
        ('session "d', "no closing quotation"),
        ("until imageDetection 0.1", "no imageDetection within 0.1 s"),
    ],
)
def test_a_script_ends_with_the_line_that_is_wrong(gateway: Gateway, script: str, sentence: str) -> None:
    done = cms(address(gateway), f"{script}\nsession d 1\n")

    assert done.returncode == 1
    assert done.stderr.startswith(f"detector: {sentence}")
    assert len(done.stderr.splitlines()) == 1


def test_where_nobody_listens_it_says_so(tmp_path: Path) -> None:
    with Gateway(state_url="unix:///nowhere", tokens="cms:" + "0" * 64) as guarded:
        refused = cms(address(guarded), "", "--token", "wrong")

    assert refused.returncode == 1
    assert "HTTP 401" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    (tmp_path / "no.jsonl").write_text('{"at": 1}\n')
    with pytest.raises(RecordingFailed, match=r"no.jsonl, line 1: expected"):
        read(tmp_path / "no.jsonl")


def test_a_new_connection_is_told_what_is_wanted_by_then() -> None:
    wishes = Wishes()
    for text in (
        "subscribe d c m rtsp://c/1",
        "subscribe d e m rtsp://c/2",
        "unsubscribe d c",
        "session d 5",
        "session x 1",
    ):
        wishes.follow(message_of(words(text)) or {})
    wishes.follow({"type": "setSessionId", "payload": {"displayIdentifier": "x", "sessionId": None}})
    wishes.follow({"type": "subscribe", "payload": 5})

    told = [(m["type"], *list(m["payload"].values())[:2]) for m in wishes.greeting()]

    assert told == [("setSessionId", "d", 5), ("subscribe", "d;e", "rtsp://c/2")]


@pytest.mark.parametrize(
    ("text", "session"), [("5", 5), ("five", "five"), ("null", None), ("[1]", "[1]"), ('"5"', 5), ("'\"5\"'", '"5"')]
)
def test_a_session_is_a_number_a_text_or_null(text: str, session: Any) -> None:
    message = message_of(words(f"session d {text}"))

    assert message is not None
    assert message["payload"]["sessionId"] == session


def test_a_snapshot_is_known_by_its_name_and_a_wrong_form_is_told() -> None:
    message = message_of(words("subscribe d c m.mpta http://camera.example/now.JPG snapshotInterval=250"))

    assert message is not None
    assert message["payload"]["snapshotUrl"] == "http://camera.example/now.JPG"
    assert message["payload"]["snapshotInterval"] == 250
    with pytest.raises(BadCommand, match="expected session DISPLAY ID"):
        message_of(["session", "d"])


def test_the_live_view_shows_a_strangers_words_as_they_are() -> None:
    view = View("head")
    detection = {"class": "[red]car\x1b[2J", "confidence": "0.5"}
    for message in (
        {"type": "imageDetection", "subscriptionIdentifier": 5, "timestamp": "soon", "data": {"detection": detection}},
        {"type": "imageDetection"},
        {"type": "stateReport", "cpuUsage": None},
        {
            "type": "imageDetection",
            "subscriptionIdentifier": "[b]d;c",
            "timestamp": "2025-07-14T12:34:56.789Z",
            "data": {"detection": detection},
        },
    ):
        view.take(message)
    console = Console(width=200)
    with console.capture() as captured:
        console.print(view)

    assert "[b]d;c" in captured.get()
    assert "[red]car\\x1b[2J" in captured.get()
