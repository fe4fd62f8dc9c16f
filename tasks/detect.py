"""The one task, `detect`: answer a wake-up. And the life of what a worker process holds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, signals

from contract import logs, wakeups
from contract import settings as settings_of
from contract.keys import PipelineId
from tasks.runtime import Runtime


def worker_app(runtime: Callable[[], Runtime]) -> Celery:
    """Return an application whose workers work with `runtime()`.

    Called first when the worker is ready, so after any fork: sockets and CUDA contexts must not be shared. It must
    give the same object each time.
    """
    app = wakeups.celery_app()

    # No retry: the work is in Redis, not in the message, and a newer frame will have arrived by then.
    @app.task(name=wakeups.TASK, ignore_result=True, max_retries=0)
    def detect(pipeline: str) -> str:
        """Work on a pipeline's ready groups while there are any, for at most half a second; say what was done."""
        return runtime().work(PipelineId(pipeline))

    def log(**_: Any) -> None:
        logs.configure(settings_of.load(), "worker")

    def start(**_: Any) -> None:
        runtime().start(app)

    def stop_claiming(**_: Any) -> None:
        runtime().stop_claiming()

    def close(**_: Any) -> None:
        runtime().close()

    # Not weak: nothing else holds these functions.
    signals.setup_logging.connect(log, weak=False)
    signals.worker_ready.connect(start, weak=False)
    signals.worker_shutting_down.connect(stop_claiming, weak=False)
    signals.worker_shutdown.connect(close, weak=False)
    return app
