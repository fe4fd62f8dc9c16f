"""The worker's Celery application, and the life of what a worker process holds."""

from __future__ import annotations

from typing import Any

from celery import signals

from contract import logs, wakeups
from contract import settings as settings_of
from tasks import runtime

app = wakeups.celery_app()
app.conf.update(include=["tasks.detect"])


@signals.setup_logging.connect
def _log(**_: Any) -> None:
    logs.configure(settings_of.load(), "worker")


@signals.worker_ready.connect
def _start(**_: Any) -> None:
    runtime.current().start(app)


@signals.worker_shutting_down.connect
def _stop_claiming(**_: Any) -> None:
    runtime.current().stop_claiming()


@signals.worker_shutdown.connect
def _close(**_: Any) -> None:
    runtime.current().close()
