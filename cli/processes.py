"""Child processes kept alive: started in order, restarted when they die, stopped together."""

from __future__ import annotations

import ctypes
import functools
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from typing import IO

log = logging.getLogger(__name__)

#: All children have this long to end by themselves; then they are killed.
STOP_S = 7.0
#: A child that lived for longer starts over with the shortest wait.
_STEADY_S = 30.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 10.0
#: A child that ends with this status was given settings that make no sense: starting it again would not help.
BAD_SETTINGS = 2

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None) if sys.platform == "linux" else None


def _end_with_parent(parent: int) -> None:
    """Ask Linux to end this child when its `parent` is gone, however it went; also if it went just now."""
    if _libc is not None:
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)


@dataclass(slots=True)
class Child:
    """One command that is to run until told otherwise.

    Attributes:
        env: variables beside those of this process.
        output: where its output goes; None: where ours goes.
    """

    name: str
    command: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    stdin: bytes | None = None
    output: IO[bytes] | None = None
    process: subprocess.Popen[bytes] | None = None
    restarts: int = 0
    _began_s: float = 0.0
    _wait_s: float = _FIRST_WAIT_S
    _due_s: float = 0.0

    def start(self) -> None:
        """Start it in a session of its own, so that a Ctrl-C reaches us alone and we stop it in good order."""
        self._began_s = time.monotonic()
        self.process = subprocess.Popen(
            self.command,
            env={**os.environ, **self.env},
            stdin=subprocess.PIPE if self.stdin is not None else subprocess.DEVNULL,
            stdout=self.output,
            stderr=self.output,
            start_new_session=True,
            preexec_fn=functools.partial(_end_with_parent, os.getpid()),
        )
        if self.stdin is not None and self.process.stdin is not None:
            with self.process.stdin as pipe:
                pipe.write(self.stdin)

    def died(self) -> int | None:
        """Return its exit status once after each death, None while it runs or waits to be started again."""
        if self.process is None:
            return None
        status = self.process.poll()
        if status is not None:
            if time.monotonic() - self._began_s > _STEADY_S:
                self._wait_s = _FIRST_WAIT_S
            self._due_s = time.monotonic() + self._wait_s
            self._wait_s = min(self._wait_s * 2, _LONGEST_WAIT_S)
            self.process = None
        return status

    def restart_when_due(self) -> None:
        """Start it again once its wait is over."""
        if self.process is None and time.monotonic() >= self._due_s:
            self.restarts += 1
            self.start()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and to what it started, if it still runs."""
        if self.process is not None and self.process.poll() is None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                return


class Processes:
    """The children of one `detector up`."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, child: Child) -> None:
        """Start a child and keep it."""
        child.start()
        self.children.append(child)

    def watch(self, stop: Event, every_s: float = 0.1) -> int:
        """Restart what dies until `stop` is set; return 0, or the status of a child that no restart can help."""
        while not stop.wait(every_s):
            for child in self.children:
                status = child.died()
                if status == BAD_SETTINGS:
                    return BAD_SETTINGS
                if status is not None:
                    log.warning("%s ended with status %d and is started again", child.name, status)
                child.restart_when_due()
        return 0

    def stop(self) -> None:
        """End all children, the last started first, within `STOP_S`; what does not end is killed."""
        servers = [child for child in self.children if child.stdin is not None]
        others = [child for child in self.children if child.stdin is None]
        deadline = time.monotonic() + STOP_S
        # What writes goes first, so that its goodbyes still find the servers.
        for group in (reversed(others), servers):
            ending = list(group)
            for child in ending:
                child.signal(signal.SIGTERM)
            for child in ending:
                self._await(child, deadline)
        self.children.clear()

    @staticmethod
    def _await(child: Child, deadline: float) -> None:
        if child.process is None:
            return
        try:
            child.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("%s does not end and is killed", child.name)
            child.signal(signal.SIGKILL)
            child.process.wait()
