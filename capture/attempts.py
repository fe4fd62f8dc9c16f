"""What follows from a camera's failures in a row: how long to wait, and what to tell."""

from __future__ import annotations

import time
from dataclasses import dataclass

from capture.errors import SourceEnded, SourceFailed, SourceRefused
from capture.pacing import LONGEST_WAIT_S
from contract.backoff import backoff
from contract.problems import Code

#: A running camera that comes back within this time is nobody's business but the log's.
BRIEF_S = 2.0
#: After so many failures every wait is the longest one.
_LONGEST_ROW = 16


@dataclass(frozen=True, slots=True)
class Trouble:
    """What the camera's subscribers must be told."""

    code: Code
    text: str


class Attempts:
    """One camera's failures since its last picture.

    Args:
        first_s: the first wait in seconds; doubled from failure to failure.
        max_retries: so many failures in a row are followed by another attempt; -1: any number.
    """

    def __init__(self, first_s: float, max_retries: int) -> None:
        self._first_s, self._max_retries = first_s, max_retries
        self._has_played = False
        self.forget()

    def forget(self) -> None:
        """Begin anew: somebody wants the camera again."""
        self._waits = backoff(self._first_s, longest_s=LONGEST_WAIT_S)
        self._failures = 0
        self._since_s = 0.0
        self._given_up = False

    @property
    def failures(self) -> int:
        """Failures in a row."""
        return self._failures

    def resume(self, failures: int) -> None:
        """Go on where a former reader of the camera stopped."""
        for _ in range(min(failures, _LONGEST_ROW)):
            next(self._waits)

    def played(self) -> None:
        """Begin anew: the camera gave a picture."""
        self._has_played = True
        self.forget()

    def failed(self, failure: SourceFailed) -> float | None:
        """Count a failure; return the seconds to wait, or None when the camera is given up."""
        if self._failures == 0:
            self._since_s = time.monotonic()
        self._failures += 1
        self._given_up = isinstance(failure, SourceEnded) or 0 <= self._max_retries < self._failures
        if self._given_up:
            return None
        # A camera that refuses does not change its mind, but locks out who asks too often.
        return LONGEST_WAIT_S if isinstance(failure, SourceRefused) else next(self._waits)

    def trouble(self, failure: SourceFailed) -> Trouble | None:
        """Return what must be told of the last failure; None: a running camera is away for a moment only."""
        brief = self._has_played and time.monotonic() - self._since_s < BRIEF_S
        if brief and not self._given_up and failure.code is Code.CAMERA_UNREACHABLE:
            return None
        return Trouble(failure.code, failure.text)
