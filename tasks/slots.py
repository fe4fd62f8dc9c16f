"""One slot per pipeline and process: one thread computes, further wake-ups only poke it.

A model has one forward pass at a time; a second task computing beside the first would halve both.
"""

from __future__ import annotations

from threading import Lock


class Slot:
    """Who may compute a pipeline now, and whether a wake-up came that no turn has answered yet."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._busy = False
        self._poked = False

    def enter(self) -> bool:
        """Take the slot for the wake-up in hand; when it is taken, leave the wake-up to its holder and return False."""
        with self._lock:
            self._poked = True
            if self._busy:
                return False
            self._busy = True
            return True

    def answer(self) -> None:
        """Note that the turn about to be taken answers whatever wake-ups came."""
        with self._lock:
            self._poked = False

    def leave(self) -> bool:
        """Give the slot back; return whether a wake-up came after the last answer: another must be sent for it."""
        with self._lock:
            self._busy = False
            return self._poked
