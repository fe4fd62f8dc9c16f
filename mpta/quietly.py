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
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

T = TypeVar("T")

#: Enough to keep the others' rate. On a crowded host a model of 40 MB takes 3 s to load with it, as without; at 10, up
#: to 16 s, in which whoever waits for the interpreter's lock waits for a thread that gets no core.
NICENESS = 5
SWITCH_S = 0.0005

_lock = threading.Lock()
_at_work = 0
_usual_s = 0.0


def quietly(work: Callable[[], T]) -> T:
    """Return `work()`, done in a thread of its own at low priority; what it raises is raised here.

    Threads that `work` starts inherit the priority for good: none may serve a pipeline later.
    """
    outcome: list[T] = []
    fault = _Fault()

    def run() -> None:
        with fault:
            step_back()
            outcome.append(work())

    # A daemon, unlike those of an executor: a process that is told to end does not wait for a model.
    thread = threading.Thread(target=run, name="quiet", daemon=True)
    with _switching_often():
        thread.start()
        thread.join()
    if fault.error is not None:
        raise fault.error
    return outcome[0]


def step_back() -> None:
    """Lower the priority of the calling thread, for good: raising it takes rights that a service lacks.

    A process that was started with a lower one (`nice -n 15`) keeps it.
    """
    if sys.platform == "linux":
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, max(NICENESS, os.getpriority(os.PRIO_PROCESS, thread)))


@dataclass(slots=True)
class _Fault:
    """Keeps what its block raises, for another thread to raise."""

    error: BaseException | None = None

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        self.error = error
        return True


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
