"""Which capture daemon reads a camera.

    lease:{cam}  HASH  owner fence   expires `LEASE_MS` after it was last renewed
    fence        INT   the last fencing number given out

A daemon that dies, or is paused, loses its cameras by expiry. Each new holder gets a greater fencing number, which
begins every `seq` it publishes: what a former holder still says is older by definition and is refused.
"""

from __future__ import annotations

from redis import Redis

from contract.keys import Cam, Keys
from contract.scripts import Script

#: A dead daemon's cameras are free after this.
LEASE_MS = 5_000
#: Frames of one holder: 2^32 of them are 13 years at 10 fps.
SEQ_PER_FENCE = 2**32

_TAKE = Script("lease.lua")
_RELEASE = Script("release.lua")


def take(redis: Redis, keys: Keys, cam: Cam, owner: str, *, above: int = 0) -> int:
    """Take the camera, or prolong our hold on it; return its fencing number, 0 when another daemon has it.

    Args:
        redis: the state server.
        keys: its keys.
        cam: the camera.
        owner: this daemon.
        above: the greatest number that this daemon has seen: a new one is greater, whatever the server has forgotten.
    """
    return int(_TAKE(redis, [keys.lease(cam), keys.fence], (owner, LEASE_MS, above)))


def release(redis: Redis, keys: Keys, cam: Cam, owner: str) -> None:
    """Give the camera back at once, if it is ours."""
    _RELEASE(redis, [keys.lease(cam)], (owner,))
