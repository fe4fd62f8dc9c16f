"""Telling the subscribers of a camera what is wrong with it, once, and that it is well again."""

from __future__ import annotations

from redis import Redis

from capture.attempts import Trouble
from contract import problems
from contract.keys import Cam, Keys
from contract.problems import Code
from contract.subscriptions import CameraPlan

_RECOVERED = "the camera gives pictures again"
#: Worst first: of several troubles that were told, this one's end is told.
_CODES = (
    Code.CAMERA_UNAUTHORIZED,
    Code.CAMERA_UNSUPPORTED,
    Code.CAMERA_UNREACHABLE,
    Code.CAMERA_STALLED,
    Code.CAMERA_IMAGE,
    Code.INTERNAL,
)


class Teller:
    """Remembers what it told, so that a camera that stays as it is costs nothing."""

    def __init__(self, state: Redis, keys: Keys) -> None:
        self._state, self._keys = state, keys
        self._told: dict[Cam, set[tuple[str, int, Code | None]]] = {}

    def tell(self, plan: CameraPlan, trouble: Trouble | None, *, online: bool) -> None:
        """Bring every subscriber of the camera up to date: those who came late are told too.

        Also of what another daemon told before it died: the first word about a subscription is always sent.
        """
        if trouble is None and not online:
            return
        code = trouble.code if trouble else None
        told = self._told.setdefault(plan.cam, set())
        now = {(s.id, s.revision, code) for s in plan.subscriptions}
        for subscription in plan.subscriptions:
            if (subscription.id, subscription.revision, code) in told:
                continue
            if trouble:
                problems.tell(self._state, self._keys, subscription, trouble.code, trouble.text)
            elif any(problems.tell_recovered(self._state, self._keys, subscription, c, _RECOVERED) for c in _CODES):
                for other in _CODES:
                    problems.forget(self._state, self._keys, subscription, other)
        # What was told of another state may be told again when that returns.
        self._told[plan.cam] = now

    def forget(self, cam: Cam) -> None:
        """The camera is no longer ours to speak of."""
        self._told.pop(cam, None)
