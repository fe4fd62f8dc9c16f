"""Displays that have sessions and no subscription: how long their sessions are kept."""

from __future__ import annotations

from collections.abc import Mapping

from worker_api.changes import State

#: A display may be given its session long before it is subscribed to, or between two subscriptions.
UNUSED_S = 3600.0
#: Displays without a subscription that are kept at most.
UNUSED = 10_000


class Unused:
    """Since when this gateway has seen displays without a subscription."""

    def __init__(self) -> None:
        self._since_s: Mapping[str, float] = {}

    def expired(self, state: State, now_s: float) -> list[str]:
        """Look at `state` on the monotonic clock; return the displays whose sessions are to be forgotten."""
        used = {subscription.display for subscription in state.subscriptions.values()}
        self._since_s = {
            display: self._since_s.get(display, now_s) for display in state.sessions if display not in used
        }
        long = [display for display, since_s in self._since_s.items() if now_s - since_s > UNUSED_S]
        many = sorted(self._since_s.keys() - set(long), key=lambda display: state.sessions[display][-1][0])
        return long + many[: max(0, len(many) - UNUSED)]
