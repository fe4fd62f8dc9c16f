"""Two worker processes beside each other: what one leaves, the other goes on with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence

import pytest

from contract.subscriptions import Subscription
from mpta import Image
from tests.integration.tasks.colour_worker import BLUE, ORANGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.servers import eventually
from tests.unit.mpta.toys import scene

#: Two workers must start, and a lease must end: on a busy machine that is a minute.
pytestmark = pytest.mark.timeout(150)

Start = Callable[..., Worker]


def yard(step: int, *, late: bool = False) -> Image:
    """Return a picture of a car and a truck on their way, and of a car that comes late."""
    car, truck = (ORANGE, (10 + step, 10, 50 + step, 40)), (BLUE, (90 - step, 50, 140 - step, 85))
    return scene(car, truck, *[(ORANGE, (110, 5, 150, 35))] * late)


def ids(desk: Desk, camera: Subscription) -> dict[str, set[int]]:
    """Return all ids that a camera's results gave to objects, by the kind and row of the object."""
    found: dict[str, set[int]] = defaultdict(set)
    for result in desk.results():
        if result["subscriptionIdentifier"] == camera.id:
            for seen in result["data"]["detection"].get("objects", ()):
                name = "late" if seen["box"][0] >= 105 and seen["class"] == "car" else seen["class"]
                found[name] |= {seen["id"]} - {None}
    return found


def show(desk: Desk, cameras: Sequence[Subscription], image: Image) -> None:
    """Let all cameras see a picture, again and again as cameras do, until each has a result."""
    wanted = {camera.id: desk.see(camera, image) for camera in cameras}

    def late() -> list[Subscription]:
        return [camera for camera in cameras if desk.done(camera) < wanted[camera.id]]

    eventually(lambda: not [desk.see(camera, image) for camera in late()], within_s=20.0, every_s=0.2)


def test_ids_go_on_when_the_worker_of_a_camera_is_killed(desk: Desk, start: Start) -> None:
    killed, _ = start(batch_max=1), start(batch_max=1)
    model = desk.package(report="all", tracker="bytetrack")
    cameras = [desk.subscribe(f"pump-1;{name}", model) for name in ("left", "right")]
    for step in range(4):
        show(desk, cameras, yard(step))
    before = {camera.id: ids(desk, camera) for camera in cameras}

    # Both in the middle of a batch, each with one camera.
    killed.hold.touch()
    for camera in cameras:
        desk.see(camera, yard(4))
    eventually(lambda: all(desk.computing(camera) for camera in cameras))
    killed.process.kill()
    killed.hold.unlink()
    for step in range(5, 9):
        show(desk, cameras, yard(step, late=True))

    for camera in cameras:
        first, last = before[camera.id], ids(desk, camera)
        assert {name: len(found) for name, found in first.items()} == {"car": 1, "truck": 1}
        assert {name: last[name] for name in first} == first
        assert len(last["late"]) == 1
        assert len(set.union(*last.values())) == 3


def test_a_worker_that_still_loads_passes_wake_ups_on_to_one_that_has_the_package(desk: Desk, start: Start) -> None:
    ready = start()
    front = desk.subscribe("pump-1;front", desk.package())
    show(desk, [front], yard(0))
    ready.hold.with_suffix(".load").touch()
    start()
    eventually(ready.hold.with_suffix(".loading").exists)

    # Each picture wakes the worker that has waited longest: now the one, now the other. None comes a second time.
    for step in range(1, 5):
        eventually(lambda: desk.idle(front))
        desk.see(front, yard(step))
        eventually(lambda: desk.done(front) == desk.seq)
