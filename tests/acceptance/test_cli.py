"""The `detector` command as a newcomer and as a script meet it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from cli import embedded
from tests.integration.worker_api.gateways import CERTIFICATES
from tests.servers import eventually
from worker_api import tokens

pytestmark = pytest.mark.timeout(180)


def start(folder: Path, *arguments: str, **settings: object) -> subprocess.Popen[str]:
    """Start the command in a folder of its own, on free ports."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
    ports = {"PORT": embedded.free_port(), "FLOWER_PORT": embedded.free_port()}
    own = {f"DETECTOR_{name}": str(value) for name, value in (ports | settings).items()}
    command = [sys.executable, "-m", "cli.main", *arguments]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, cwd=folder, env=inherited | own, stdout=pipe, stderr=pipe, text=True)


def test_the_demo_for_scripts_prints_each_message_and_ends_well(tmp_path: Path) -> None:
    # With all that may keep a CMS out: the demo's own has to get in.
    guards = {"TOKENS": tokens.entry("cms", tokens.new()), "TLS_CERT": CERTIFICATES / "first.pem"}
    guards["TLS_KEY"] = CERTIFICATES / "first-key.pem"
    demo = start(tmp_path, "demo", "--seconds", "45", "--json", **guards)
    family = eventually(lambda: found if len(found := psutil.Process(demo.pid).children()) >= 7 else [], within_s=60.0)

    output, errors = demo.communicate()

    assert demo.returncode == 0, errors
    messages = [json.loads(line) for line in output.splitlines()]
    # That this machine is too slow for what is asked is no fault.
    told = [message for message in messages if message.get("code") != "overloaded"]
    assert {message["type"] for message in told} == {"stateReport", "imageDetection"}
    seen = [m["data"]["detection"] for m in messages if m["type"] == "imageDetection"]
    assert any(detection.get("licensePlateText") for detection in seen)
    assert not [child for child in family if child.is_running()]


def test_the_command_evaluates_from_any_folder(tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("detector")), "evaluate", "--scenes", "3", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode in {0, 1}, done.stderr
    assert "vehicle mAP50" in json.dumps(json.loads(done.stdout))


def test_a_demo_without_detections_says_so_in_one_sentence(tmp_path: Path) -> None:
    demo = start(tmp_path, "demo", "--seconds", "0.1", "--json", FLOWER="false")

    _, errors = demo.communicate()

    assert demo.returncode == 1
    assert len(errors.strip().splitlines()) == 1
    assert "No detection arrived in 0.1 s" in errors


def test_ctrl_c_ends_the_demo_before_it_is_ready_too(tmp_path: Path) -> None:
    demo = start(tmp_path, "demo", FLOWER="false")
    family = eventually(lambda: psutil.Process(demo.pid).children(), within_s=30.0)

    demo.send_signal(signal.SIGINT)
    demo.communicate(timeout=10.0)

    assert demo.returncode == 0
    assert not [child for child in family if child.is_running()]


def test_killed_without_a_chance_it_leaves_nothing_running(tmp_path: Path) -> None:
    system = start(tmp_path, "up", FLOWER="false")
    family = eventually(lambda: c if len(c := psutil.Process(system.pid).children()) >= 5 else [], within_s=30.0)

    system.kill()
    system.communicate()

    eventually(lambda: not [child for child in family if child.is_running()], within_s=15.0)


def test_a_port_that_is_taken_is_one_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        system = start(tmp_path, "up", PORT=port)
        _, errors = system.communicate()

    assert system.returncode == 1
    assert errors.startswith(f"detector: cannot listen on 127.0.0.1:{port}")
    assert "DETECTOR_PORT" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("command", [["up"], ["demo"], ["settings"]])
def test_a_setting_that_makes_no_sense_stops_it_with_one_line(tmp_path: Path, command: list[str]) -> None:
    system = start(tmp_path, *command, TARGET_FPS="fast")

    output, errors = system.communicate()

    assert system.returncode == 2
    assert output == ""
    assert errors.startswith("detector: DETECTOR_TARGET_FPS='fast'")
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize(
    "part", [["worker_api"], ["capture"], ["celery", "-A", "tasks", "worker"]], ids=["gateway", "capture", "worker"]
)
def test_a_part_given_a_bad_setting_stops_with_one_line(part: list[str]) -> None:
    root = Path(__file__).parents[2]
    env = {**os.environ, "DETECTOR_BATCH_MAX": "-4"}
    done = subprocess.run([sys.executable, "-m", *part], cwd=root, env=env, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "DETECTOR_BATCH_MAX='-4'" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
