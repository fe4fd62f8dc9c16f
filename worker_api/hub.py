"""Who is connected, who owns what, and so where a result goes."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import Iterable, KeysView, Mapping
from typing import Literal

from contract.cursors import Cursor
from contract.problems import Problem
from contract.results import Entry, EntryId
from contract.subscriptions import Subscription
from worker_api.changes import State
from worker_api.counters import Counters
from worker_api.late import Late
from worker_api.messages import ErrorMessage, ResultsLost
from worker_api.meters import Meter
from worker_api.outbox import NO_DOUBT, Outbox
from worker_api.routes import Route, Waiting

#: The cursor of a subscription that is sent nothing is noted this often: a return reads no more than this for nothing.
NOTED_S = 30.0


class Hub:
    """The connections of this gateway and the subscriptions that they own.

    Attributes:
        next: the first entry that the relay has not read; None before it knows where it begins.
        life: of the stream: another one after it began anew.
        departed: how far subscriptions were delivered that have left, as long as that is not noted.
    """

    def __init__(self, counters: Counters, empty: Literal["on_change", "always", "never"], late: Late) -> None:
        self.next: EntryId | None = None
        self.life = 0
        self.departed: dict[str, Cursor] = {}
        self._counters = counters
        self._empty = empty
        self._late = late
        self._outboxes: dict[str, Outbox] = {}
        self._routes: dict[str, Route] = {}
        self._returned: list[Route] = []
        self._any_returned = asyncio.Event()
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

    def owned(self, owner: str) -> list[tuple[Subscription, Meter]]:
        """Return the subscriptions that are this connection's, and what comes of each."""
        return [(subscription, self._routes[subscription.id].meter) for subscription in self._owned.get(owner, [])]

    def metered(self) -> list[tuple[Subscription, Meter]]:
        """Return the subscriptions of all connections, and what comes of each."""
        return [each for owner in self._owned for each in self.owned(owner)]

    def close(self) -> None:
        """Let every connection's writer say goodbye."""
        for outbox in self._outboxes.values():
            outbox.close()

    # ------------------------------------------------------------ routes

    def rewire(self, state: State) -> None:
        """Route by this state from now on."""
        self._state = state
        before, self._routes = self._routes, {}
        owned: dict[str, list[Subscription]] = defaultdict(list)
        for subscription in state.subscriptions.values():
            outbox = self._outboxes.get(subscription.owner)
            if outbox is not None:
                owned[subscription.owner].append(subscription)
                self._routes[subscription.id] = self._route(subscription, outbox, before.get(subscription.id))
        self._owned = owned
        for route in before.values():
            if self._routes.get(route.id) is not route:
                self._end(route)

    def _route(self, subscription: Subscription, outbox: Outbox, before: Route | None) -> Route:
        """Return the route that there was, as long as it leads from the same inference to the same connection."""
        same_owner = before is not None and before.owner == subscription.owner
        if before is not None and same_owner and before.begun == subscription.begun:
            before.revision = subscription.revision
            return before
        route = Route(subscription, outbox)
        if before is not None and same_owner and before.cam == route.cam:
            route.last_ms = before.last_ms
        self._returned.append(route)
        self._any_returned.set()
        return route

    def _end(self, route: Route) -> None:
        route.alive = False
        route.outbox.end_resuming(route)
        if self.next is not None and route.placed:
            self.departed[route.id] = route.cursor(self.next)

    async def returned(self) -> list[Route]:
        """Wait for routes whose place in the stream is not known yet; return them, until they are `placed`."""
        await self._any_returned.wait()
        self._returned = [route for route in self._returned if route.alive]
        return list(self._returned)

    def placed(self, routes: Iterable[Route]) -> None:
        """Note that these routes know their place."""
        done = set(routes)
        self._returned = [route for route in self._returned if route not in done]
        if not self._returned:
            self._any_returned.clear()

    def moved(self, now_s: float) -> list[Route]:
        """Return the routes whose cursor must be noted."""
        placed = [route for route in self._routes.values() if route.placed]
        return [r for r in placed if r.moved or now_s - r.noted_s > NOTED_S or r.outbox.doubted_from() is not NO_DOUBT]

    # ------------------------------------------------------------ results

    def deliver(self, entry_id: EntryId, entry: Entry) -> None:
        """Hand a result that the relay read to the connection that owns its subscription, if that is one of ours."""
        route = self._routes.get(entry.subscription)
        if route is None:
            return
        route.meter.arrived(time.monotonic(), self._late.age_s(entry.captured_ms))
        if not route.resuming and entry_id >= route.next:
            self.take(route, entry_id, entry)

    def take(self, route: Route, entry_id: EntryId, entry: Entry) -> None:
        """Send a result, or find out why not."""
        item = Waiting(route, entry_id, entry.captured_ms, entry.nothing, entry.body)
        if self._late.is_late(entry.captured_ms):
            self._late.warn_if_born_late(entry.captured_ms, entry_id[0])
            route.meter.late += 1
            route.outbox.put_late(item)
            return
        if route.is_older(entry.captured_ms):
            self._counters.out_of_order += 1
            route.meter.out_of_order += 1
            return
        if entry.nothing and (self._empty == "never" or (self._empty == "on_change" and route.nothing)):
            self._counters.nothing_suppressed += 1
            route.last_ms = entry.captured_ms
            return
        route.outbox.put_detection(item)

    def go_live(self, route: Route, following: EntryId) -> None:
        """From the entry `following` on the relay's word counts for this route."""
        route.next = following
        route.resuming = False
        route.moved = True
        route.outbox.end_resuming(route)

    def lose(self, route: Route, from_ms: int, to_ms: int) -> None:
        """Tell a subscription's owner of a gap that cannot be replayed."""
        self._counters.results_lost += 1
        self._counters.errors_sent += 1
        route.outbox.put_reply(ResultsLost.of(route.id, from_ms, to_ms).text())

    def lose_all(self, from_ms: int, to_ms: int) -> None:
        """The stream began anew: tell everybody, and forget where in the old one they were."""
        self.life += 1
        self.next = (0, 0)
        for route in self._routes.values():
            if route.placed:
                self.lose(route, from_ms, to_ms)
            route.next = (0, 0)

    def tell(self, problem: Problem) -> None:
        """Tell the owner of a subscription of its trouble, if that is one of our connections."""
        if (route := self._routes.get(problem.subscription)) is not None:
            route.meter.troubled(time.monotonic())
            message = ErrorMessage(subscriptionIdentifier=problem.subscription, code=problem.code, error=problem.text)
            self.say(problem.subscription, message)

    def say(self, subscription_id: str, message: ErrorMessage) -> None:
        """Send a message to the owner of a subscription, if that is one of our connections."""
        if (route := self._routes.get(subscription_id)) is not None:
            route.outbox.put_reply(message.text())
            self._counters.errors_sent += 1
