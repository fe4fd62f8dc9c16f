"""When a camera may be connected to: not all at once, and not sooner for a restart of ours.

    connects:{address}  INT  ms at which the next connection to a recorder, or from a host of ours, would be due
    backoff:{cam}       INT  attempts that failed in a row   expires `_KEPT_MS` after the next one is due

A switch that reboots, or two hundred cameras that are wanted at once, must not make a storm: a recorder that serves
many cameras at one address takes few logins a second.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from dataclasses import dataclass
from typing import cast
from urllib.parse import urlsplit

from redis import Redis

from contract.clients import Down
from contract.keys import Cam, Keys, digest
from contract.scripts import Script

#: Connections per second from one host of ours, and at once.
_HOST_PER_S, _HOST_BURST = 25.0, 10
#: And to one address.
_ADDRESS_BURST = 4
_KEPT_MS = 120_000

_CONNECT = Script("connect.lua")


@dataclass(frozen=True, slots=True)
class Gate:
    """The way to one camera.

    Args:
        url: without credentials; cameras at the same host wait for each other.
        per_second: connections to that host.
    """

    redis: Redis
    keys: Keys
    cam: Cam
    url: str
    per_second: float

    def wait_s(self) -> float:
        """Take the next place in the row; return how long it is until it is our turn."""
        host = urlsplit(self.url).hostname
        ours = (self.keys.connects(digest("from", socket.gethostname())), 1000 / _HOST_PER_S, _HOST_BURST)
        theirs = (self.keys.connects(digest("to", host)), 1000 / self.per_second, _ADDRESS_BURST)
        places = (ours, theirs) if host else (ours,)
        args = [value for _, interval_ms, burst in places for value in (interval_ms, burst)]
        return int(_CONNECT(self.redis, [key for key, _, _ in places], args)) / 1000

    def remember(self, failures: int, wait_s: float) -> None:
        """Note that so many attempts failed in a row, and that the next one is due after `wait_s`."""
        with suppress(*Down):  # Without it, another reader may come too soon: no reason to leave this one.
            self.redis.set(self.keys.backoff(self.cam), failures, px=int(wait_s * 1000) + _KEPT_MS)

    def remembered(self) -> tuple[int, float]:
        """Return what was noted: failures in a row, and seconds until the next attempt is due."""
        pipe = self.redis.pipeline(transaction=False)
        pipe.get(self.keys.backoff(self.cam))
        pipe.pttl(self.keys.backoff(self.cam))
        failures, left_ms = cast("tuple[bytes | None, int]", pipe.execute())
        return int(failures or 0), max(0, left_ms - _KEPT_MS) / 1000

    def forget(self) -> None:
        """Note that the camera plays, or that somebody wants it anew."""
        with suppress(*Down):
            self.redis.delete(self.keys.backoff(self.cam))
