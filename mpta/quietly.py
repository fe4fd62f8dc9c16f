"""Work beside pipelines that run in other threads: it takes the processor time that they leave.

A thread that loads a model holds the interpreter's lock for most of its time, and each operation of a forward pass
asks for that lock again, 5 ms later by default. Switching ten times as often and, on Linux, a low priority keep the
others' rate: `python -m benchmarks.loading`.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

T = TypeVar("T")

#: At 19 a load beside busy cores takes ten times as long, at 10 twice.
NICENESS = 10
SWITCH_S = 0.0005

_lock = threading.Lock()
_at_work = 0
_usual_s = 0.0


def quietly(work: Callable[[], T]) -> T:
    """Return `work()`, done in a thread of its own at low priority; what it raises is raised here.

    Threads that `work` starts inherit the priority for good: none may serve a pipeline later.
    """
    with _switching_often(), ThreadPoolExecutor(1, "quiet", initializer=step_back) as pool:
        return pool.submit(work).result()


def step_back() -> None:
    """Lower the priority of the calling thread, for good: raising it takes rights that a service lacks.

    A process that was started with a lower one (`nice -n 15`) keeps it.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


@contextmanager
def _switching_often() -> Iterator[None]:
    """Have threads take turns every `SWITCH_S`, until the last block of this kind ends."""
    global _at_work, _usual_s
    with _lock:
        if _at_work == 0:
            _usual_s = sys.getswitchinterval()
            sys.setswitchinterval(min(_usual_s, SWITCH_S))
        _at_work += 1
    try:
        yield
    finally:
        with _lock:
            _at_work -= 1
            if _at_work == 0:
                sys.setswitchinterval(_usual_s)
