"""Doing something for ever, through the absences of a Redis server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator

from contract import clients
from contract.backoff import backoff

log = logging.getLogger(__name__)

#: What waiting cures: a server that is away, or that for now takes no writes.
AWAY = clients.Down
#: The longest wait for it: a gateway that notices late has blind displays.
_LONGEST_S = 2.0


def obey_cancellation() -> None:
    """Raise CancelledError if this task was asked to end.

    redis-py 8.1 loses about every second cancellation that reaches a pipeline: the pipeline finishes as if nothing had
    been asked. Called after each use of one, this makes up for it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def waiting() -> Iterator[float]:
    """Yield the waits in seconds until the server is tried again."""
    return backoff(0.1, longest_s=_LONGEST_S)


async def keep_doing(step: Callable[[], Awaitable[None]], what: str, every_s: float = 0.0) -> None:
    """Call `step` for ever, with `every_s` between two calls; while the server is away, wait longer and longer."""
    waits = waiting()
    away = False
    while True:
        try:
            await step()
            obey_cancellation()
        except AWAY as exc:
            if not away:
                log.warning("%s: the server is away (%s); trying again until it is back", what, type(exc).__name__)
            away = True
            await asyncio.sleep(next(waits))
            continue
        if away:
            log.info("%s: the server is back", what)
            away, waits = False, waiting()
        await asyncio.sleep(every_s)
