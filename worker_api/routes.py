"""One subscription of one of our connections, and what of it is on its way."""

from __future__ import annotations

import time
from itertools import islice
from typing import TYPE_CHECKING

from contract.cursors import Cursor
from contract.results import EntryId
from contract.subscriptions import Subscription
from worker_api.meters import Meter

if TYPE_CHECKING:
    from worker_api.outbox import Outbox
    from worker_api.patches import Patch

#: A result that is older than the one before it by more than this is no straggler: the camera host's clock was set.
CLOCK_STEP_MS = 60_000


class Waiting:
    """A detection that has not been sent yet."""

    __slots__ = ("body", "captured_ms", "id", "nothing", "route")

    def __init__(self, route: Route, entry: EntryId, captured_ms: int, nothing: bool, body: bytes) -> None:
        self.route = route
        self.id = entry
        self.captured_ms = captured_ms
        self.nothing = nothing
        self.body = body


class Route:
    """Where one subscription's results go, where they stand, and what went there last.

    Attributes:
        next: the first entry that was not looked at yet.
        placed: it is known where in the stream this stands.
        resuming: a scan brings it up to the relay, which leaves it alone until then.
        alive: this connection still owns the subscription.
        last_ms: when the newest frame that was accepted was captured.
        nothing: that frame showed nothing.
        moved: there is something new to note in the cursor.
        noted_s: when the cursor was noted last, on the monotonic clock.
        meter: counts what comes and what becomes of it.
    """

    __slots__ = (
        "_first",
        "_sent_ms",
        "_sent_nothing",
        "_waiting",
        "alive",
        "begun",
        "cam",
        "held",
        "id",
        "last_ms",
        "meter",
        "moved",
        "next",
        "noted_s",
        "nothing",
        "outbox",
        "owner",
        "placed",
        "resuming",
        "revision",
    )

    def __init__(self, subscription: Subscription, outbox: Outbox) -> None:
        self.id = subscription.id
        self.owner = subscription.owner
        self.revision = subscription.revision
        self.begun = subscription.begun
        self.cam = subscription.source.cam
        self.outbox = outbox
        self.meter = Meter(subscription, time.monotonic())
        self.next: EntryId = (0, 0)
        self.placed = False
        self.resuming = True
        self.alive = True
        self.last_ms = 0
        self.nothing = False
        self.moved = False
        self.noted_s = 0.0
        #: Patch -> the first of our entries in it.
        self.held: dict[Patch, EntryId] = {}
        self._waiting: dict[EntryId, None] = {}
        self._first: EntryId = (0, 0)
        self._sent_ms = 0
        self._sent_nothing = False

    def begin(self, following: EntryId, before: Cursor | None = None) -> None:
        """Begin with the entry `following`; go on with what was sent `before`."""
        self.placed = True
        self.next = self._first = following
        if before is not None:
            self._sent_ms, self._sent_nothing = before.captured_ms, before.nothing
            self.last_ms, self.nothing = max(self.last_ms, before.captured_ms), before.nothing

    def is_older(self, captured_ms: int) -> bool:
        """Return whether a frame is older than one that was accepted."""
        return captured_ms < self.last_ms < captured_ms + CLOCK_STEP_MS

    def accept(self, item: Waiting) -> None:
        """Note that `item` is to be sent."""
        self.last_ms, self.nothing = item.captured_ms, item.nothing
        self._waiting[item.id] = None

    def sent(self, item: Waiting) -> None:
        """Note that `item` was sent."""
        self._sent_ms, self._sent_nothing = item.captured_ms, item.nothing
        self._settle(item)

    def withdraw(self, item: Waiting) -> None:
        """Note that `item`, though accepted, is not sent."""
        if item.captured_ms == self.last_ms:
            self.nothing = False  # That nothing is seen was not said after all.
        self._settle(item)

    def _settle(self, item: Waiting) -> None:
        self._waiting.pop(item.id, None)
        self.moved = True

    def cursor(self, relay: EntryId) -> Cursor:
        """Return how far this was delivered, when the relay reads the entry `relay` next."""
        unsettled = [*self.held.values(), *islice(self._waiting, 1)]
        following = min(unsettled) if unsettled else self.next if self.resuming else max(self.next, relay)
        doubted = self.outbox.doubted_from()
        if doubted < following:
            return Cursor(self.revision, max(doubted, self._first), 0, False, self.begun)
        return Cursor(self.revision, following, self._sent_ms, self._sent_nothing, self.begun)
