"""New versions of packages in a real worker, while frames flow."""

from __future__ import annotations

import functools
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from contract.subscriptions import Subscription
from mpta import open_package
from tests.integration.tasks.colour_worker import BLUE, ORANGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.integration.tasks.shop import Shop, shops
from tests.servers import RedisServer, eventually
from tests.unit.mpta import toys

shop = pytest.fixture(shops)
CAR_AND_TRUCK = toys.scene((ORANGE, (20, 20, 60, 60)), (BLUE, (90, 20, 150, 60)))
REFRESH_S = 0.2


@pytest.fixture(scope="module")
def worker(server: RedisServer, home: Path) -> Iterator[Worker]:
    """A worker that looks for new versions all the time."""
    keen = Worker(server, home, model_refresh_seconds=REFRESH_S, model_retry_seconds=REFRESH_S)
    yield keen
    keen.close()


def version(desk: Desk, classes: Sequence[str]) -> Path:
    """Make a package that sees `classes` and tracks them."""
    made = desk.home / desk.package()
    root = toys.node("model", classes=list(classes), report="all")
    return toys.package(made, root, {"model.pt": desk.home / "model.pt"})


def offered(desk: Desk, content: bytes) -> Path:
    """Put content at the address of the file tests, as if that had been a while ago."""
    fresh = desk.home / f"fresh-{time.monotonic_ns()}"
    fresh.write_bytes(content)
    os.utime(fresh, (time.time() - 100, time.time() - 100))
    return fresh.replace(desk.home / "offered.mpta")


def seen(desk: Desk, camera: Subscription, label: str) -> dict[str, Any]:
    """Show the camera frames until its newest result is of the class `label`; return that detection."""

    def newest() -> dict[str, Any]:
        before = len(desk.results())
        desk.see(camera, CAR_AND_TRUCK)
        eventually(lambda: desk.count(before + 1))
        detection: dict[str, Any] = desk.results()[-1]["data"]["detection"]
        return detection if detection["class"] == label else {}

    return eventually(newest)


def told(desk: Desk, times: int) -> bool:
    """Return whether so much trouble was told."""
    return len(desk.problems()) == times


def running(desk: Desk) -> dict[str, str]:
    """Return the versions that the one worker says it runs."""
    return {name: v for facts in desk.facts() for name, v in facts["pipelines"].items()}


@pytest.mark.parametrize("way", ["file", "http"])
def test_a_new_version_takes_over_between_two_frames_and_tracks_go_on(
    way: str, desk: Desk, worker: Worker, shop: Shop
) -> None:
    first, second = version(desk, ["car", "truck"]), version(desk, ["truck"])

    def offer(package: Path) -> None:
        offered(desk, package.read_bytes())
        shop.body, shop.tag = package.read_bytes(), f'"{package.name}"'

    offer(first)
    front = desk.subscribe("a;front", "offered.mpta" if way == "file" else shop.url)
    car, truck = seen(desk, front, "car")["objects"]
    assert {car["class"], truck["class"]} == {"car", "truck"}
    name = "offered.mpta" if way == "file" else "m.mpta"
    assert eventually(lambda: running(desk).get(name)) == open_package(first).digest[:12]

    offer(second)
    [other] = seen(desk, front, "truck")["objects"]

    assert other["id"] == truck["id"] is not None
    eventually(lambda: running(desk).get(name) == open_package(second).digest[:12])
    assert desk.problems() == []
    assert f"instead of {open_package(first).digest[:12]}" in worker.said()
    assert "secret" not in worker.said()


@pytest.mark.usefixtures("worker")
def test_a_broken_new_version_leaves_the_old_one_running_and_is_told_once(desk: Desk) -> None:
    offered(desk, version(desk, ["car"]).read_bytes())
    front = desk.subscribe("a;front", "offered.mpta")
    seen(desk, front, "car")

    for times in (1, 2):
        offered(desk, b"no zip, take %d" % times)
        eventually(functools.partial(told, desk, times))
        seen(desk, front, "car")

    problems = desk.problems()
    assert {(problem.subscription, problem.code) for problem in problems} == {(front.id, "model_invalid")}
    assert all("the one before keeps running" in problem.text for problem in problems)

    offered(desk, version(desk, ["truck"]).read_bytes())
    seen(desk, front, "truck")
    assert len(desk.problems()) == 2


def test_a_batch_under_way_ends_with_the_old_version_and_the_next_begins_with_the_new(
    desk: Desk, worker: Worker
) -> None:
    first, second = version(desk, ["car"]), version(desk, ["truck", "bus"])
    offered(desk, first.read_bytes())
    front = desk.subscribe("a;front", "offered.mpta")
    seen(desk, front, "car")
    before = len(desk.results())
    worker.hold.touch()
    desk.see(front, CAR_AND_TRUCK)
    eventually(lambda: desk.computing(front))

    offered(desk, second.read_bytes())
    eventually(lambda: f"version {open_package(second).digest[:12]} runs instead" in worker.said())
    desk.see(front, CAR_AND_TRUCK)
    worker.hold.unlink()

    eventually(lambda: desk.count(before + 2))
    assert [result["data"]["detection"]["class"] for result in desk.results()[before:]] == ["car", "truck"]
