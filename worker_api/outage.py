"""Doing something for ever, through the absences of a Redis server."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterator

from contract import clients

log = logging.getLogger(__name__)

#: What waiting cures: a server that is away, or that for now takes no writes.
AWAY = clients.Down


def obey_cancellation() -> None:
    """Raise CancelledError if this task was asked to end.

    redis-py 8.1 loses about every second cancellation that reaches a pipeline: the pipeline finishes as if nothing had
    been asked. Called after each use of one, this makes up for it.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def backoff(first_s: float = 0.1, factor: float = 2.0, longest_s: float = 2.0) -> Iterator[float]:
    """Yield waits in seconds, doubling up to `longest_s`, each cut by up to half at random."""
    wait_s = first_s
    while True:
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s = min(wait_s * factor, longest_s)


async def keep_doing(step: Callable[[], Awaitable[None]], what: str, every_s: float = 0.0) -> None:
    """Call `step` for ever, with `every_s` between two calls; while the server is away, wait longer and longer."""
    waits = backoff()
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
            away, waits = False, backoff()
        await asyncio.sleep(every_s)
