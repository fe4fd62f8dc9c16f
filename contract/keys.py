"""Every Redis key, spelled once.

    role    key                  type     content
    state   subscriptions        hash     subscription id -> record (`contract.subscriptions`)
    state   sessions             hash     display -> its sessions, newest last (`contract.sessions`)
    state   version              int      counts up with every change of `subscriptions`
    state   sessions_version     int      counts up with every change of `sessions`
    state   cursors              hash     subscription id -> what of it was delivered (`contract.cursors`)
    state   patch_failures       stream   patches that a CMS could not apply (`contract.sessions`)
    frames  frame:{cam}          hash     the newest picture (`contract.frames`)
    state   lease:{cam}          hash     which capture daemon reads the camera (`contract.leases`)
    state   fence                int      last fencing number given out
    state   ready:{pipeline}     zset     group -> ms from which it may be claimed   \\
    state   running:{pipeline}   zset     group -> ms at which its lease ends         | `contract.work`
    state   wake:{pipeline}      string   ms of the last wake-up sent                 |
    state   waits:{pipeline}     string   a worker waits for work                      |
    state   bell:{pipeline}      list     there is some                                |
    state   group:{group}        hash     seen done lease tries tracks               /
    state   detections           stream   results, one entry per subscription and frame (`contract.results`)
    state   problems             stream   what the owner of a subscription must be told (`contract.problems`)
    state   told:{...}           string   that it was told already; expires
    state   node:{node}          string   a process's last sign of progress (`contract.nodes`)
    state   nodes                zset     node -> ms of its last sign
    state   secret:{cam}         string   user:password of the camera
    state   connects:{address}   int      when the next connection is due             \\
    state   backoff:{cam}        int      failed attempts in a row                    / `contract.connects`

`cam` is a hash of a source without its credentials, `pipeline` one of a package's address, `group` one of (cam,
pipeline, crop, orientation). No credential is part of a key.
"""

from __future__ import annotations

import hashlib
from typing import NewType

Cam = NewType("Cam", str)
PipelineId = NewType("PipelineId", str)
Group = NewType("Group", str)


def digest(*parts: object) -> str:
    """Return 16 hexadecimal digits that name `parts` (64 bits: a clash among a million names has odds of 3e-8)."""
    return hashlib.blake2b("\x1f".join(map(str, parts)).encode(), digest_size=8).hexdigest()


class Keys:
    """The keys under one prefix."""

    def __init__(self, prefix: str) -> None:
        self.prefix = prefix
        self.subscriptions = f"{prefix}subscriptions"
        self.sessions = f"{prefix}sessions"
        self.version = f"{prefix}version"
        self.sessions_version = f"{prefix}sessions_version"
        self.cursors = f"{prefix}cursors"
        self.patch_failures = f"{prefix}patch_failures"
        self.fence = f"{prefix}fence"
        self.detections = f"{prefix}detections"
        self.problems = f"{prefix}problems"
        self.nodes = f"{prefix}nodes"

    def frame(self, cam: Cam) -> str:
        """Key of the camera's newest frame."""
        return f"{self.prefix}frame:{cam}"

    def lease(self, cam: Cam) -> str:
        """Key of the camera's lease."""
        return f"{self.prefix}lease:{cam}"

    def secret(self, cam: Cam) -> str:
        """Key of the camera's credentials."""
        return f"{self.prefix}secret:{cam}"

    def ready(self, pipeline: PipelineId) -> str:
        """Key of the pipeline's claimable groups."""
        return f"{self.prefix}ready:{pipeline}"

    def running(self, pipeline: PipelineId) -> str:
        """Key of the pipeline's claimed groups."""
        return f"{self.prefix}running:{pipeline}"

    def wake(self, pipeline: PipelineId) -> str:
        """Key of the pipeline's outstanding wake-up."""
        return f"{self.prefix}wake:{pipeline}"

    def bell(self, pipeline: PipelineId) -> str:
        """Key that wakes a worker that waits for the pipeline's work."""
        return f"{self.prefix}bell:{pipeline}"

    def group(self, group: Group) -> str:
        """Key of the group's truth."""
        return f"{self.prefix}group:{group}"

    def connects(self, address: str) -> str:
        """Key of the row in front of an address, by its digest."""
        return f"{self.prefix}connects:{address}"

    def backoff(self, cam: Cam) -> str:
        """Key of the camera's failed attempts."""
        return f"{self.prefix}backoff:{cam}"

    def told(self, *parts: str) -> str:
        """Key that says that a problem was reported."""
        return f"{self.prefix}told:{':'.join(parts)}"

    def node(self, node: str) -> str:
        """Key of a process's last sign."""
        return f"{self.prefix}node:{node}"
