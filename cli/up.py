"""`detector up`: everything but cameras and CMS on this machine, kept running."""

from __future__ import annotations

import logging
from threading import Event

from cli import stack
from contract.settings import Settings

log = logging.getLogger(__name__)

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


def run(settings: Settings, stop: Event) -> int:
    """Run until `stop` is set; return the exit status.

    Raises:
        DetectorError: something did not start; the message says what and why.
    """
    if settings.host not in _LOOPBACK:
        log.warning("the gateway listens on %s for everybody who reaches it, without any login", settings.host)
    with stack.running(settings, durable=True, output=None, home=settings.data_dir) as system:
        log.info("CMS: ws://%s/   pictures: http://%s/camera/DISPLAY;CAMERA/image", system.address, system.address)
        if settings.flower:
            log.info("Flower: http://127.0.0.1:%d/", settings.flower_port)
        status = system.processes.watch(stop)
        log.info("stopping")
    return status
