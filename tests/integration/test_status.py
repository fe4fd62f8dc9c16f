"""`detector status` beside a real server: what it reads, what it calls trouble, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from cli import embedded
from cli.status.gathering import gather
from cli.status.judging import troubles
from cli.status.report import report
from contract import camera_states, frames, leases, nodes, problems, subscriptions
from contract.frames import Frame
from contract.keys import Keys
from contract.nodes import Node, Pulse
from contract.settings import Settings
from contract.subscriptions import Source, Subscription
from tests.servers import RedisServer, eventually

ONE = Subscription(
    id="d1;c1",
    display="d1",
    camera="c1",
    source=Source(url="rtsp://camera/one", kind="stream"),
    model_url="http://models/m.mpta",
    model_id=1,
    model_name="m",
)
CAM = ONE.source.cam
WELL = camera_states.fact(state="online", plays=True, since_ms=0, fps=9.5, code=None, reason=None)


class Desk:
    """A cluster of signs: whatever a test leaves as it is, is well."""

    def __init__(self, redis: Redis, keys: Keys, server: RedisServer) -> None:
        self._redis, self._keys = redis, keys
        self.settings = Settings(state_url=server.url, key_prefix=keys.prefix)
        self.gateway, self.capture = Pulse("gateway").sign(), Pulse("capture").sign(cameras={CAM: WELL})
        self.worker = Pulse("worker").sign(versions={ONE.pipeline: "abc123"})
        self.subscribe(ONE)
        self.sign(self.gateway, self.capture, self.worker)
        leases.take(redis, keys, CAM, self.capture.id)
        frames.put(redis, keys, Frame(cam=CAM, seq=1, captured_ms=1, width=2, height=2, jpeg=b"jpeg"), 60_000)

    def sign(self, *signs: Node) -> None:
        """Give signs of life."""
        pipe = self._redis.pipeline()
        for each in signs:
            nodes.put(pipe, self._keys, each)
        pipe.execute()

    def end(self, sign: Node) -> None:
        """End a process."""
        pipe = self._redis.pipeline()
        nodes.remove(pipe, self._keys, sign.id)
        pipe.execute()

    def subscribe(self, subscription: Subscription) -> None:
        """Store a subscription."""
        pipe = self._redis.pipeline()
        subscriptions.put(pipe, self._keys, subscription)
        pipe.execute()

    def release(self) -> None:
        """Let the daemon give the camera back."""
        leases.release(self._redis, self._keys, CAM, self.capture.id)

    def tell(self, code: problems.Code) -> None:
        """Tell of trouble."""
        problems.tell(self._redis, self._keys, ONE, code, "see rtsp://user:secret@host/")

    def result(self, identifier: str, age_ms: int) -> None:
        """Add a result that is so old."""
        fields: dict[Any, Any] = {"s": identifier, "c": nodes.now_ms() - age_ms, "n": 1, "b": b"{}"}
        self._redis.xadd(self._keys.detections, fields)

    def look(self) -> dict[str, Any]:
        """Return what is reported."""
        cluster = gather(self.settings)
        return report(cluster, troubles(cluster))


@pytest.fixture
def desk(redis: Redis, keys: Keys, server: RedisServer) -> Desk:
    """A cluster that is well."""
    return Desk(redis, keys, server)


def test_a_cluster_that_is_well_is_told_whole(desk: Desk) -> None:
    desk.subscribe(replace(ONE, id="d2;c1", display="d2"))
    for _ in range(10):
        desk.result(ONE.id, age_ms=500)

    told = desk.look()

    assert (told["well"], told["troubles"], told["subscriptions"], told["results_kept"]) == (True, [], 2, 10)
    assert [node["role"] for node in told["nodes"]] == ["capture", "gateway", "worker"]
    [camera] = told["cameras"]
    assert (camera["online"], camera["state"], camera["fps"]) == (True, "online", 9.5)
    assert camera["held_by"] == desk.capture.id
    first, second = camera["subscriptions"]
    assert (first["id"], first["achieved_fps"], second["id"], second["achieved_fps"]) == ("d1;c1", 2.0, "d2;c1", 0.0)
    assert 0.4 < first["age_s"] < 5
    [package] = told["pipelines"]
    assert (package["name"], package["version"], package["workers"]) == ("m.mpta", "abc123", [desk.worker.id])
    assert package["subscriptions"] == 2


def test_rates_are_read_over_several_pages_but_not_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.status.gathering._AT_ONCE", 4)
    for _ in range(10):
        desk.result(ONE.id, age_ms=0)
    assert desk.look()["results_per_second"] == 2.0

    monkeypatch.setattr("cli.status.gathering._MOST", 8)
    # Eight were read, in the short time that these took.
    assert desk.look()["results_per_second"] > 2.0


def _away(desk: Desk) -> None:
    said = WELL | {
        "plays": False,
        "state": "waiting",
        "code": "camera_unreachable",
        "reason": "it is away",
    }
    desk.sign(replace(desk.capture, facts={"cameras": {CAM: said}}))


def _unattended(desk: Desk) -> None:
    desk.release()
    desk.sign(replace(desk.capture, facts={"cameras": {}}))


def _stalled(desk: Desk) -> None:
    desk.sign(replace(desk.worker, progress_ms=desk.worker.sign_ms - 31_000))


@pytest.mark.parametrize(
    ("spoil", "about", "code"),
    [
        (lambda desk: desk.end(desk.worker), "worker", "missing"),
        (lambda desk: desk.end(desk.gateway), "gateway", "missing"),
        (lambda desk: desk.end(desk.capture), "capture", "missing"),
        (_stalled, "worker", "stalled"),
        (_away, "d1;c1", "camera_unreachable"),
        (_unattended, "d1;c1", "camera_unattended"),
        (lambda desk: desk.sign(replace(desk.worker, facts={})), "d1;c1", "model_unavailable"),
        (lambda desk: desk.tell(problems.Code.MODEL_INVALID), "d1;c1", "model_invalid"),
        (lambda desk: desk.tell(problems.Code.MODEL_FAILED), "d1;c1", "model_failed"),
        (lambda desk: desk.sign(replace(desk.gateway, facts={"overloaded": {ONE.id: 3.5}})), "d1;c1", "overloaded"),
        (lambda desk: desk.sign(replace(desk.worker, sign_ms=desk.worker.sign_ms + 5_000)), "worker-", "clock"),
    ],
)
def test_what_a_person_must_act_on(desk: Desk, spoil: Callable[[Desk], None], about: str, code: str) -> None:
    spoil(desk)

    told = desk.look()

    assert not told["well"]
    found = [each for each in told["troubles"] if each["code"] == code and each["about"].startswith(about)]
    assert found, told["troubles"]
    assert "secret" not in json.dumps(told)


def test_what_is_over_or_told_elsewhere_is_no_trouble(desk: Desk) -> None:
    desk.tell(problems.Code.MODEL_UNAVAILABLE)  # It came since: a worker holds it.
    desk.tell(problems.Code.CAMERA_STALLED)  # It plays again.

    assert desk.look()["troubles"] == []


def status(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a folder of its own."""
    return subprocess.run(
        command(*arguments), cwd=folder, env=env(**variables), capture_output=True, text=True, check=False
    )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "cli.main", "status", *arguments]


def env(**variables: str) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    root = str(Path(__file__).parents[2])
    return inherited | {"DETECTOR_KEY_PREFIX": "t:", "COLUMNS": "200", "PYTHONPATH": root} | variables


@pytest.fixture
def here(tmp_path: Path, server: RedisServer) -> Iterator[Path]:
    """A folder in which a system runs that brought its servers along."""
    (tmp_path / ".detector").mkdir()
    with embedded.announcement(tmp_path / ".detector", {"DETECTOR_STATE_URL": server.url, "OTHER": "x"}):
        yield tmp_path


def test_it_finds_the_servers_of_the_system_that_runs_here_and_shows_tables(desk: Desk, here: Path) -> None:
    desk.subscribe(replace(ONE, id="d2;[red]\x1b[31m", display="d2", camera="[red]\x1b[31m"))

    done = status(here)

    assert done.returncode == 0, done
    assert "all is well" in done.stdout
    assert "d1;c1" in done.stdout
    assert "d2;[red]\\x1b[31m" in done.stdout  # As text, whatever a terminal would make of it.
    assert "\x1b" not in done.stdout


def test_trouble_is_an_exit_status_and_json_for_machines(desk: Desk, here: Path, server: RedisServer) -> None:
    desk.end(desk.worker)

    done = status(here, "--json", "--url", server.url)

    assert done.returncode == 1, done
    assert json.loads(done.stdout)["troubles"][0] == {
        "about": "worker",
        "code": "missing",
        "text": "no worker process is alive",
    }


def test_it_looks_again_and_again_until_it_is_told_to_stop(desk: Desk, here: Path) -> None:
    watching = subprocess.Popen(command("--watch", "--json"), cwd=here, env=env(), stdout=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    assert json.loads(watching.stdout.readline())["well"]
    desk.end(desk.worker)
    eventually(lambda: not json.loads(watching.stdout.readline())["well"] if watching.stdout else False)

    watching.send_signal(signal.SIGINT)
    _, _ = watching.communicate(timeout=10)

    assert watching.returncode == 1


def test_without_servers_one_sentence_says_so(tmp_path: Path) -> None:
    done = status(tmp_path, DETECTOR_STATE_URL=f"unix://{tmp_path}/none.sock")

    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "DETECTOR_STATE_URL" in done.stderr


def test_an_address_of_something_else_is_a_wrong_use(tmp_path: Path) -> None:
    done = status(tmp_path, "--url", "ftp://host/")

    assert done.returncode == 1
    assert done.stderr.startswith("detector: --url: expected")


def test_what_is_announced_is_for_its_owners_eyes_and_goes_with_the_system(tmp_path: Path) -> None:
    assert embedded.announced(tmp_path) == {}

    variables = {"DETECTOR_STATE_URL": "redis://:s@h/0", "DETECTOR_FRAMES_URL": "redis://:f@h/0", "HOME": "/"}
    with embedded.announcement(tmp_path, variables):
        [file] = tmp_path.iterdir()
        assert file.stat().st_mode & 0o777 == 0o600
        assert embedded.announced(tmp_path) == {"state_url": "redis://:s@h/0", "frames_url": "redis://:f@h/0"}
        file.write_text("[]")
        assert embedded.announced(tmp_path) == {}

    assert list(tmp_path.iterdir()) == []
