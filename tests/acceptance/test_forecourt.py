"""All processes, real streams, a real CMS: what it is told is what the cameras showed."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from simulator.cameras import Cameras
from simulator.truth import Record
from tests.acceptance.system import ROOT, Cms, Message, System, connected, running
from tests.servers import eventually

pytestmark = pytest.mark.timeout(240)

#: A vehicle that has been at rest for this long is at rest in every picture on its way.
SETTLED_MS = 1_000
WANTED = 30


@pytest.fixture(scope="module")
def cameras() -> Iterator[Cameras]:
    with Cameras() as served:
        yield served


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    with running(tmp_path_factory.mktemp("system")) as started:
        yield started


@pytest.fixture
def cms(system: System) -> Iterator[Cms]:
    with connected(system) as client:
        yield client


def subscribe(cms: Cms, name: str, **source: Any) -> None:
    cms.send("subscribe", subscriptionIdentifier=name, modelUrl="forecourt.mpta", modelId=101, **source)


def captured_ms(message: Message) -> int:
    return round(datetime.fromisoformat(message["timestamp"]).timestamp() * 1000)


def truth(cameras: Cameras, camera: str, at_ms: int) -> Record:
    found = cameras.feeds[camera].truth.at(at_ms)
    assert found is not None
    return found


def standing(cameras: Cameras, camera: str, message: Message) -> dict[str, Any] | None:
    """Return the one vehicle that is to be seen, when it has been at rest for a while and will be for a moment."""
    at_ms = captured_ms(message)
    seen = [truth(cameras, camera, at_ms + shift)["vehicles"] for shift in (-SETTLED_MS, 0, SETTLED_MS // 2)]
    if not all(len(vehicles) == 1 and vehicles[0]["standing"] for vehicles in seen):
        return None
    return dict(seen[1][0])


def test_a_cms_is_told_what_the_cameras_show(cameras: Cameras, cms: Cms) -> None:
    cms.send("setSessionId", displayIdentifier="pump-1", sessionId=7)
    subscribe(cms, "pump-1;cam1", rtspUrl=cameras.urls["cam1"])
    subscribe(cms, "kiosk;cam1", rtspUrl=cameras.urls["cam1"])

    told: list[tuple[Message, dict[str, Any]]] = []
    judged = 0

    def enough() -> bool:
        nonlocal judged
        # The newest wait until the truth of the moment after them is known.
        for message in cms.detections("pump-1;cam1")[judged:-20]:
            judged += 1
            vehicle = standing(cameras, "cam1", message)
            told.extend([(message, vehicle)] if vehicle else [])
        return len(told) >= WANTED

    eventually(enough, within_s=180.0, every_s=0.5)

    right = dict.fromkeys(("class", "bodyType", "carBrand", "licensePlateText"), 0)
    for message, vehicle in told:
        said = message["data"]["detection"]
        expected = {
            "class": vehicle["kind"],
            "bodyType": vehicle["body"],
            "carBrand": vehicle["brand"],
            "licensePlateText": vehicle["plate"],
        }
        for key, value in expected.items():
            right[key] += said.get(key) == value
    assert {key: count / len(told) for key, count in right.items() if count < 0.9 * len(told)} == {}

    mine, theirs = cms.detections("pump-1;cam1"), cms.detections("kiosk;cam1")
    assert {m["sessionId"] for m in mine} == {7}
    assert all("sessionId" not in m for m in theirs)
    assert cms.errors() == []
    for messages in (mine, theirs):
        times = [captured_ms(m) for m in messages]
        assert times == sorted(set(times))
    # One inference, two results: whatever both were sent about one frame is the same.
    kiosk = {m["timestamp"]: m["data"]["detection"] for m in theirs}
    shared = [(m["data"]["detection"], kiosk[m["timestamp"]]) for m in mine if m["timestamp"] in kiosk]
    assert len(shared) > WANTED
    assert all(a == b for a, b in shared)


def test_every_kind_of_camera_reaches_the_cms_and_is_read_once(system: System, cameras: Cameras, cms: Cms) -> None:
    subscribe(cms, "a;cam2", rtspUrl=cameras.urls["cam2"])
    subscribe(cms, "b;cam2", rtspUrl=cameras.urls["cam2"])
    subscribe(cms, "a;cam3", snapshotUrl=cameras.urls["cam3"], snapshotInterval=200)
    subscribe(cms, "a;cam4", rtspUrl=cameras.urls["cam4"])

    for name in ("a;cam2", "b;cam2", "a;cam3", "a;cam4"):
        assert eventually(lambda name=name: cms.detections(name), within_s=90.0)  # type: ignore[misc]

    rtsp = [c for p in system.children() for c in p.net_connections("tcp") if c.raddr]
    readers = [c for c in rtsp if c.raddr.port == cameras.rtsp_port and c.status == psutil.CONN_ESTABLISHED]
    watched = {"cam1", "cam2"} if cms.detections("pump-1;cam1") else {"cam2"}
    assert len(readers) <= 2
    assert len(readers) >= len(watched)


def test_a_report_says_who_is_online(cameras: Cameras, cms: Cms) -> None:
    subscribe(cms, "pump-1;cam1", rtspUrl=cameras.urls["cam1"])
    subscribe(cms, "dead;cam9", rtspUrl="rtsp://127.0.0.1:9/none")

    def online() -> dict[str, bool]:
        reports = [m for m in cms.messages if m["type"] == "stateReport"]
        return {c["subscriptionIdentifier"]: c["online"] for c in reports[-1]["cameraConnections"]} if reports else {}

    eventually(lambda: online() == {"pump-1;cam1": True, "dead;cam9": False}, within_s=20.0)
    [error] = eventually(cms.errors, within_s=20.0)
    assert (error["subscriptionIdentifier"], error["code"]) == ("dead;cam9", "camera_unreachable")
    cms.send("unsubscribe", subscriptionIdentifier="dead;cam9")


def test_status_shows_the_system_that_runs_here(system: System, cameras: Cameras, cms: Cms) -> None:
    subscribe(cms, "glance;cam1", rtspUrl=cameras.urls["cam1"])
    assert eventually(lambda: cms.detections("glance;cam1"), within_s=60.0)

    told = system.status()

    assert {"gateway", "capture", "worker"} <= {node["role"] for node in told["nodes"]}
    seen = {each["id"]: camera for camera in told["cameras"] for each in camera["subscriptions"]}
    assert (seen["glance;cam1"]["online"], seen["glance;cam1"]["state"]) == (True, "online")
    assert told["results_per_second"] > 0
    cms.send("unsubscribe", subscriptionIdentifier="glance;cam1")


def test_the_newest_picture_is_served(system: System, cameras: Cameras, cms: Cms) -> None:
    subscribe(cms, "pump-1;cam1", rtspUrl=cameras.urls["cam1"])
    url = f"http://127.0.0.1:{system.port}/camera/pump-1;cam1/image"

    answer = eventually(lambda: a if (a := httpx.get(url, trust_env=False)).is_success else None)

    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")


def test_the_program_in_the_readme_prints_detections(system: System, cameras: Cameras) -> None:
    program = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)[0]
    ours = program.replace("127.0.0.1:8000", f"127.0.0.1:{system.port}")
    ours = ours.replace("rtsp://user:password@camera.example/stream", cameras.urls["cam1"])
    assert ours.count(str(system.port)) == ours.count(cameras.urls["cam1"]) == 1

    with subprocess.Popen([sys.executable, "-u", "-c", ours], stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        messages = [json.loads(line) for line, _ in zip(running.stdout, range(30), strict=False)]
        running.kill()

    told = [message for message in messages if message.get("code") != "overloaded"]
    assert {message["type"] for message in told} == {"stateReport", "imageDetection"}


def test_the_conformance_check_finds_nothing_wrong(system: System, cameras: Cameras) -> None:
    command = [sys.executable, "-m", "cli.main", "protocol-test", f"ws://127.0.0.1:{system.port}/", "--json"]
    live = ["--camera", cameras.urls["cam1"], "--model", "forecourt.mpta"]
    done = subprocess.run([*command, *live], capture_output=True, text=True, check=False)

    assert {r["rule"]: r["reason"] for r in json.loads(done.stdout)["rules"] if r["status"] != "pass"} == {}
    assert done.returncode == 0


def test_flower_shows_the_detection_tasks(system: System) -> None:
    def metrics() -> str:
        try:
            return httpx.get(f"http://127.0.0.1:{system.flower_port}/metrics", trust_env=False).text
        except httpx.TransportError:
            return ""

    eventually(lambda: 'task="detect"' in metrics(), within_s=30.0)


@pytest.mark.parametrize("part", ["celery -A tasks worker", "capture", "worker_api"])
def test_a_part_that_dies_is_started_again_and_results_go_on(system: System, cameras: Cameras, part: str) -> None:
    name = f"after-{part.split()[0]};cam1"
    system.child(part).kill()
    eventually(system.ready, within_s=60.0, every_s=0.2)

    with connected(system) as cms:
        subscribe(cms, name, rtspUrl=cameras.urls["cam1"])

        assert eventually(lambda: cms.detections(name), within_s=60.0)
        cms.send("unsubscribe", subscriptionIdentifier=name)


def test_at_the_end_nothing_is_left(tmp_path: Path) -> None:
    with running(tmp_path, flower="false") as system:
        family = system.children()
        assert len(family) >= 5

        assert system.end() == 0

    assert [p for p in family if p.is_running() and p.status() != psutil.STATUS_ZOMBIE] == []
