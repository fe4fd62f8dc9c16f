"""`setSubscriptions`: the whole set that one connection wants, and what it takes to get there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from contract.subscriptions import Subscription
from worker_api.changes import Draft
from worker_api.messages import RefusedItem, SetResult, SubscriptionsSet
from worker_api.protocol import Refused, Wish


def same_wish(one: Subscription, other: Subscription) -> bool:
    """Return whether two subscriptions ask for the same, whoever owns them."""
    return _bare(one) == _bare(other)


def _bare(subscription: Subscription) -> Subscription:
    return replace(subscription, owner="", orphaned_ms=None, revision=0, begun=0)


@dataclass(frozen=True, slots=True)
class Assign:
    """`setSubscriptions`: this connection owns exactly these.

    An item that is refused changes nothing: what runs under its id goes on. `unchanged` is what this connection had
    already; the same wish of another owner, or of none, is taken over and `replaced`.
    """

    owner: str
    wishes: Sequence[Wish]
    refused: Sequence[Refused] = ()

    def apply(self, draft: Draft) -> str | None:
        """Add, replace and remove what differs; answer with what was done."""
        done: dict[str, list[str]] = {"added": [], "replaced": [], "unchanged": [], "removed": []}
        refused = list(self.refused)
        wanted = {wish.subscription.id: wish for wish in self.wishes}
        kept = wanted.keys() | {fault.subscription for fault in refused}
        mine = [s.id for s in draft.subscriptions.values() if s.owner == self.owner]
        done["removed"] = [gone for gone in mine if gone not in kept]
        draft.remove(done["removed"])
        for wish in wanted.values():
            try:
                done[self._settle(draft, wish)].append(wish.subscription.id)
            except Refused as fault:
                refused.append(fault)
        items = [RefusedItem(subscriptionIdentifier=f.subscription, code=f.code, error=f.text) for f in refused]
        return SubscriptionsSet(payload=SetResult(**done, refused=items)).text()

    def _settle(self, draft: Draft, wish: Wish) -> str:
        known = draft.subscriptions.get(wish.subscription.id)
        if known and known.owner == self.owner and not known.orphaned_ms and same_wish(known, wish.subscription):
            if wish.credentials:  # Nothing else tells whether the password is a new one.
                draft.put(replace(known), wish.credentials)
            return "unchanged"
        draft.subscribe(wish, self.owner)
        return "replaced" if known else "added"
