"""Cameras in processes of their own: what one of them does to its process is felt by nobody else, and not for long."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator

import psutil
import pytest

from capture.daemon import Daemon
from capture.isolation import Cells
from contract import clients, leases
from contract.frames import Frame
from contract.keys import Cam, Keys
from contract.settings import Settings
from contract.subscriptions import Source
from tests.integration.capture.conftest import Desk, stream
from tests.servers import RedisServer, eventually

ONE, TWO, THREE = (stream(f"synthetic://320x180@20?{i}") for i in range(3))


def cells() -> list[psutil.Process]:
    """Return the processes that read cameras for this one: forked by its fork server, oldest first."""
    grandchildren = [cell for child in psutil.Process().children() for cell in child.children()]
    return sorted(grandchildren, key=lambda process: process.pid)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Less patience with a cell that says nothing."""
    monkeypatch.setattr("capture.isolation._MUTE_S", 1.5)


@pytest.fixture
def size() -> int:
    """Cameras of a cell."""
    return 2


@pytest.fixture
def capture(server: RedisServer, keys: Keys, settings: Settings, size: int) -> Iterator[Cells]:
    """A capture daemon in this process, with its cells."""
    stop, ours = threading.Event(), Cells(settings, size)
    with clients.connect(server.url, "test") as state:
        thread = threading.Thread(target=Daemon(settings, state, keys, ours).run, args=(stop,))
        thread.start()
        yield ours
        stop.set()
        thread.join(10)
    assert not thread.is_alive()
    eventually(lambda: cells() == [])


def fence(frame: Frame | None) -> int:
    return frame.seq // leases.SEQ_PER_FENCE if frame else 0


def of(desk: Desk, cam: Cam) -> Frame:
    """Return the camera's newest frame, once there is one."""
    return eventually(lambda: desk.frame(cam))


def read(desk: Desk, *sources: Source) -> list[Cam]:
    """Have the cameras read, one after the other, so that they fill the cells in this order."""
    cams = []
    for i, source in enumerate(sources):
        cams.append(desk.subscribe(f"d;{i}", source).source.cam)
        of(desk, cams[-1])
    return cams


def after(desk: Desk, before: Frame, cam: Cam) -> Callable[[], bool]:
    """Return a test of whether the camera is read by another reader than the one that gave `before`."""
    return lambda: fence(desk.frame(cam)) > fence(before)


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGSTOP])
def test_a_process_that_ends_or_hangs_takes_no_other_with_it(capture: Cells, desk: Desk, end: signal.Signals) -> None:
    cams = read(desk, ONE, TWO, THREE)
    first = [of(desk, cam) for cam in cams]
    shared, own = cells()

    os.kill(shared.pid, end)

    for cam, before in zip(cams[:2], first[:2], strict=True):
        eventually(after(desk, before, cam))
    assert not shared.is_running()
    assert own.is_running()
    assert fence(eventually(lambda: desk.newer_than(first[2].seq + 5, cams[2]))) == fence(first[2])
    assert capture.lost == 1


@pytest.mark.usefixtures("capture")
def test_cameras_that_lost_their_process_twice_live_alone(desk: Desk) -> None:
    cams = read(desk, ONE, TWO)
    for _ in range(2):
        before = [of(desk, cam) for cam in cams]
        eventually(lambda: len(cells()) == 1)
        cells()[0].kill()
        for cam, frame in zip(cams, before, strict=True):
            eventually(after(desk, frame, cam))

    assert len(cells()) == 2


@pytest.mark.usefixtures("capture")
def test_a_process_that_nobody_needs_ends(desk: Desk) -> None:
    cams = read(desk, ONE, TWO, THREE)
    assert len(cells()) == 2

    desk.unsubscribe("d;2")

    eventually(lambda: len(cells()) == 1)
    before = eventually(lambda: desk.frame(cams[0]))
    eventually(lambda: desk.newer_than(before.seq, cams[0]))


@pytest.mark.usefixtures("capture")
def test_a_new_wish_reaches_a_camera_in_its_process(desk: Desk) -> None:
    wanted = desk.subscribe("d;1", ONE)
    eventually(lambda: desk.seen(wanted))

    other = desk.subscribe("e;1", ONE, crop=(0, 0, 100, 100))

    eventually(lambda: desk.seen(other))
    assert len(cells()) == 1


@pytest.mark.usefixtures("capture")
def test_a_camera_that_ends_its_process_again_and_again_waits_longer(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("capture.daemon._LOST_WAIT_S", 1000.0)
    # It never plays, so nothing says that it is well again.
    desk.subscribe("d;1", stream("rtsp://127.0.0.1:1/none"))
    for _ in range(2):
        eventually(cells)[0].kill()
        eventually(lambda: cells() == [])

    read(desk, ONE)

    assert len(cells()) == 1
