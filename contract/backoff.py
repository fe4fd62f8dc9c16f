"""Waits between attempts, for everything that is tried again."""

from __future__ import annotations

import random
from collections.abc import Iterator


def backoff(first_s: float, factor: float = 2.0, longest_s: float = 30.0) -> Iterator[float]:
    """Yield waits in seconds, growing up to `longest_s`, each cut by up to half at random.

    The randomness keeps fifty waiters from trying in one instant after what they wait for restarts.
    Source: "equal jitter" in M. Brooker, Exponential Backoff And Jitter, AWS Architecture Blog, 2015.
    """
    wait_s = min(first_s, longest_s)
    while True:
        yield wait_s * random.uniform(0.5, 1.0)
        wait_s = min(wait_s * factor, longest_s)
