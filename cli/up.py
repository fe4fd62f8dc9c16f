"""`detector up`: everything but cameras and CMS on this machine, kept running."""

from __future__ import annotations

import logging
from threading import Event

from filelock import FileLock, Timeout

from cli import embedded, stack
from contract.errors import DetectorError
from contract.settings import Settings

log = logging.getLogger(__name__)


class InUse(DetectorError):
    """Another system keeps its files where this one would."""


def run(settings: Settings, stop: Event) -> int:
    """Run until `stop` is set; return the exit status.

    Raises:
        DetectorError: something did not start; the message says what and why.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    try:
        lock = FileLock(settings.data_dir / "up.lock", timeout=0).acquire()
    except Timeout as exc:
        raise InUse("another `detector up` uses this DETECTOR_DATA_DIR; give each a folder of its own") from exc
    with lock, stack.running(settings, durable=True, output=None, home=settings.data_dir) as system:
        log.info("CMS: %s/   pictures: %s/camera/DISPLAY;CAMERA/image", system.url("ws"), system.url("http"))
        if settings.flower:
            log.info("Flower: http://127.0.0.1:%d/", settings.flower_port)
        with embedded.announcement(settings.data_dir, system.env):
            status = system.processes.watch(stop)
        log.info("stopping")
    return status
