"""Who is connected, who owns what, and so where a result goes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import KeysView, Mapping
from typing import Literal

from contract.keys import Cam
from contract.problems import Problem
from contract.results import Entry
from contract.subscriptions import Subscription
from worker_api.changes import State
from worker_api.counters import Counters
from worker_api.messages import ErrorMessage
from worker_api.outbox import Outbox

#: A result that is older than the one before it by more than this is no straggler: the camera host's clock was set.
CLOCK_STEP_MS = 60_000


class Route:
    """Where one subscription's results go, and what went there last."""

    __slots__ = ("cam", "last_ms", "nothing", "outbox", "owner", "revision")

    def __init__(self, subscription: Subscription, outbox: Outbox, before: Route | None) -> None:
        """Follow on `before` in so far as it is still the same camera, seen by the same connection."""
        self.owner = subscription.owner
        self.revision = subscription.revision
        self.cam: Cam = subscription.source.cam
        self.outbox = outbox
        same_view = before is not None and before.owner == self.owner and before.cam == self.cam
        self.last_ms: int = before.last_ms if before is not None and same_view else 0
        #: The last result showed nothing; after a new `subscribe` that is unknown.
        self.nothing = False


class Hub:
    """The connections of this gateway and the subscriptions that they own."""

    def __init__(self, counters: Counters, empty: Literal["on_change", "always", "never"]) -> None:
        self._counters = counters
        self._empty = empty
        self._outboxes: dict[str, Outbox] = {}
        self._routes: dict[str, Route] = {}
        self._owned: Mapping[str, list[Subscription]] = {}
        self._state = State()

    @property
    def connected(self) -> KeysView[str]:
        """The owners that are connected here."""
        return self._outboxes.keys()

    def join(self, owner: str, outbox: Outbox) -> None:
        """A CMS has connected."""
        self._outboxes[owner] = outbox

    def leave(self, owner: str) -> None:
        """A CMS is gone; nothing is sent to it any more."""
        del self._outboxes[owner]
        self.rewire(self._state)

    def owned(self, owner: str) -> list[Subscription]:
        """Return the subscriptions that are this connection's."""
        return self._owned.get(owner, [])

    def close(self) -> None:
        """Let every connection's writer say goodbye."""
        for outbox in self._outboxes.values():
            outbox.close()

    def rewire(self, state: State) -> None:
        """Route by this state from now on."""
        self._state = state
        routes: dict[str, Route] = {}
        owned: dict[str, list[Subscription]] = defaultdict(list)
        for subscription in state.subscriptions.values():
            outbox = self._outboxes.get(subscription.owner)
            if outbox is None:
                continue
            owned[subscription.owner].append(subscription)
            route = self._routes.get(subscription.id)
            if route is None or route.owner != subscription.owner or route.revision != subscription.revision:
                route = Route(subscription, outbox, route)
            routes[subscription.id] = route
        self._routes, self._owned = routes, owned

    def deliver(self, entry: Entry) -> None:
        """Hand a result to the connection that owns its subscription, if that is one of ours."""
        route = self._routes.get(entry.subscription)
        if route is None:
            return
        if entry.captured_ms < route.last_ms < entry.captured_ms + CLOCK_STEP_MS:
            self._counters.out_of_order += 1
            return
        route.last_ms = entry.captured_ms
        repeated = entry.nothing and (self._empty == "never" or (self._empty == "on_change" and route.nothing))
        route.nothing = entry.nothing
        if repeated:
            self._counters.nothing_suppressed += 1
            return
        route.outbox.put_detection(entry.subscription, entry.body)
        self._counters.relayed += 1

    def tell(self, problem: Problem) -> None:
        """Tell the owner of a subscription of its trouble, if that is one of our connections."""
        route = self._routes.get(problem.subscription)
        if route is not None:
            message = ErrorMessage(subscriptionIdentifier=problem.subscription, code=problem.code, error=problem.text)
            route.outbox.put_reply(message.text())
            self._counters.errors_sent += 1
