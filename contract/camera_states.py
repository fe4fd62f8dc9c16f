"""How capture daemons say that their cameras are: the fact `cameras` of their signs (`contract.nodes`).

cameras  {cam: JSON of `CameraState`, without what its reader computes}
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from contract.keys import Cam
from contract.nodes import Node

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class CameraState:
    """How one camera was at its daemon's last sign.

    Attributes:
        state: connecting, online, waiting (to connect again), given_up; or, while it plays, the flaw of its picture.
        plays: pictures come.
        since_ms: Unix ms since which it plays, has this flaw, or is away; by its host's clock.
        fps: pictures published per second, of late.
        code, reason: of its trouble, as its subscribers are told; None while it is well, and for a brief absence.
        daemon: who reads it. age_ms, skew_ms: see `Node`. Known to who reads, and not part of what is stored.
    """

    state: str
    plays: bool
    since_ms: int
    fps: float
    code: str | None = None
    reason: str | None = None
    daemon: str = ""
    sign_ms: int = 0
    age_ms: int = 0
    skew_ms: int = 0

    @property
    def is_away(self) -> bool:
        """Whether it gives no pictures, and that is no brief absence."""
        return not self.plays and self.code is not None

    @property
    def for_s(self) -> float:
        """For how many seconds it has been so."""
        return max(0, self.sign_ms - self.since_ms + self.age_ms) / 1000


def fact(*, state: str, plays: bool, since_ms: int, fps: float, code: str | None, reason: str | None) -> dict[str, Any]:
    """Return what a sign says of one camera."""
    return {"state": state, "plays": plays, "since_ms": since_ms, "fps": fps, "code": code, "reason": reason}


def of(living: Iterable[Node]) -> dict[Cam, CameraState]:
    """Return how every camera is that some daemon holds; of two daemons the word of the younger sign counts."""
    found: dict[Cam, CameraState] = {}
    for node in sorted(living, key=lambda node: -node.age_ms):
        if node.role != "capture":
            continue
        heard = {"daemon": node.id, "sign_ms": node.sign_ms, "age_ms": node.age_ms, "skew_ms": node.skew_ms}
        try:
            for cam, said in node.facts.get("cameras", {}).items():
                known = {name: value for name, value in said.items() if name in CameraState.__slots__}
                found[Cam(cam)] = CameraState(**(known | heard))
        except (TypeError, AttributeError) as exc:
            log.debug("what %s says of its cameras cannot be read (%s)", node.id, exc)
    return found
