"""Work that steps back behind others."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from mpta.quietly import NICENESS, SWITCH_S, quietly


def priority() -> int:
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_work_is_done_at_low_priority_and_the_caller_keeps_its_own() -> None:
    before = priority()

    assert quietly(priority) == max(NICENESS, before)
    assert priority() == before


def test_a_process_that_steps_back_further_is_not_brought_forward() -> None:
    further = max(NICENESS + 5, priority())

    def within() -> int:
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), further)
        return quietly(priority)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(within).result() == further


def test_threads_take_turns_more_often_until_the_last_work_is_done() -> None:
    usual = sys.getswitchinterval()

    def nested() -> tuple[float, float]:
        return quietly(sys.getswitchinterval), sys.getswitchinterval()

    assert quietly(nested) == pytest.approx((SWITCH_S, SWITCH_S))
    assert sys.getswitchinterval() == usual


def test_what_the_work_raises_is_raised() -> None:
    def fail() -> None:
        raise LookupError("not here")

    with pytest.raises(LookupError, match="not here"):
        quietly(fail)
    assert sys.getswitchinterval() > SWITCH_S


ENDING = """
import threading
from mpta.quietly import quietly
begun = threading.Event()
threading.Thread(target=quietly, args=(lambda: begun.set() or threading.Event().wait(),), daemon=True).start()
begun.wait()
"""


def test_a_process_that_ends_does_not_wait_for_the_work() -> None:
    assert subprocess.run([sys.executable, "-c", ENDING], timeout=30, check=False).returncode == 0
