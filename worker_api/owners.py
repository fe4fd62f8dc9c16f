"""Who owns a subscription, and what becomes of it when its owner is gone."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

from worker_api.changes import Draft, State


def owner_name(gateway: str, number: int) -> str:
    """Return the name of a gateway's connection, as it stands in `Subscription.owner`."""
    return f"{gateway}/{number}"


def gateway_of(owner: str) -> str:
    """Return the gateway that the connection `owner` is, or was, with."""
    return owner.rpartition("/")[0]


@dataclass(frozen=True, slots=True)
class Leave:
    """A connection is gone: its subscriptions go on for the time of grace."""

    owner: str

    def apply(self, draft: Draft) -> str | None:
        """Mark what it owned."""
        for subscription in list(draft.subscriptions.values()):
            if subscription.owner == self.owner and subscription.orphaned_ms is None:
                draft.put(replace(subscription, orphaned_ms=draft.now_ms))
        return None


@dataclass(frozen=True, slots=True)
class Reap:
    """Time has passed: mark what nobody owns any more, end what was nobody's for too long.

    Attributes:
        gateway: who reaps; it knows best which of its own connections are there.
        connected: the owners that are connected to it.
        alive: the gateways that live, or None when that is not known for certain.
        unused: displays that have had sessions and no subscription for too long.
    """

    gateway: str
    connected: Collection[str]
    alive: Collection[str] | None
    grace_ms: int
    unused: Collection[str] = ()

    def apply(self, draft: Draft) -> str | None:
        """Bring marks and subscriptions up to date."""
        ended = []
        for subscription in list(draft.subscriptions.values()):
            gone, since_ms = self._is_gone(subscription.owner), subscription.orphaned_ms
            if gone is None:
                gone = since_ms is not None
            if gone and since_ms is not None and draft.now_ms - since_ms >= self.grace_ms:
                ended.append(subscription)
            elif gone != (since_ms is not None):
                draft.put(replace(subscription, orphaned_ms=draft.now_ms if gone else None))
        draft.remove([s.id for s in ended])
        draft.forget_sessions({s.display for s in ended} | set(self.unused))
        return None

    def _is_gone(self, owner: str) -> bool | None:
        """Return whether the connection is gone; None: only its own gateway can tell, and that lives."""
        gateway = gateway_of(owner)
        if gateway == self.gateway:
            return owner not in self.connected
        if self.alive is None or gateway in self.alive:
            return None
        return True


@dataclass(frozen=True, slots=True)
class Restore:
    """The server lost what it held (restarted without its file, or with an older one): say again what is wanted.

    Attributes:
        before: what was stored, as far as this gateway knew.
        connected: the owners that are connected to this gateway; others speak for themselves.
    """

    before: State
    connected: Collection[str]
    credentials: Mapping[str, str]

    def apply(self, draft: Draft) -> str | None:
        """Put back what is missing and ours."""
        for subscription in self.before.subscriptions.values():
            if subscription.owner in self.connected and subscription.id not in draft.subscriptions:
                draft.put(subscription, self.credentials.get(subscription.id, ""))
        for display, history in self.before.sessions.items():
            draft.sessions.setdefault(display, history)
        return None
