"""Wake-ups: the Celery messages `detect(pipeline)` that tell workers that a pipeline has work.

A wake-up carries no work. It may be lost or late without harm: the work is in `contract.work`, and whoever looks next
takes what is newest.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping

import kombu.exceptions
from celery import Celery
from redis import Redis

from contract import clients
from contract.keys import PipelineId
from contract.settings import Settings
from contract.work import Wake

log = logging.getLogger(__name__)

TASK = "detect"


def celery_app() -> Celery:
    """Return the Celery application of every process, configured by `celeryconfig`."""
    app = Celery("detector")
    app.config_from_object("celeryconfig")
    return app


class Waker:
    """Sends the wake-ups that `mark` and `turn` say are due. Thread-safe."""

    def __init__(self, app: Celery, settings: Settings, name: str) -> None:
        self._app = app
        self._queue = str(app.conf.task_default_queue)
        self._queue_key = f"{app.conf.broker_transport_options['global_keyprefix']}{self._queue}"
        self._broker: Redis = clients.connect(settings.broker, name)
        self.failed = 0

    def wake(self, wakes: Mapping[PipelineId, Wake]) -> None:
        """Send what is due. One that cannot be sent is counted: the next frame after the wake expiry tries again."""
        for pipeline, wake in wakes.items():
            if wake is Wake.NO:
                continue
            try:
                if wake is Wake.SEND or self._queue_is_empty():
                    self._app.send_task(TASK, args=[pipeline], ignore_result=True, retry=False)
            except (*clients.Down, kombu.exceptions.OperationalError) as exc:
                self.failed += 1
                log.debug("no wake-up sent for pipeline %s: %s", pipeline, exc)

    def _queue_is_empty(self) -> bool:
        return self._broker.llen(self._queue_key) == 0
