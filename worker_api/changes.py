"""What a CMS, a disconnect or time itself does to subscriptions and sessions: pure, from one state to the next.

A change works on a `Draft`; the registry turns a finished draft into one Redis transaction. So what is decided here is
decided on exactly the state that is then replaced, however many gateways decide at once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from contract import cursors, sessions, subscriptions
from contract.clients import AnyPipeline
from contract.keys import Keys
from contract.problems import Code
from contract.sessions import Changes, SessionId
from contract.subscriptions import Subscription
from worker_api.protocol import Refused, Wish


@dataclass(frozen=True, slots=True)
class State:
    """All subscriptions at one version, and all sessions at one."""

    version: int = 0
    subscriptions: Mapping[str, Subscription] = field(default_factory=dict)
    sessions: Mapping[str, Changes] = field(default_factory=dict)
    sessions_version: int = 0


class Draft:
    """The next state in the making.

    Attributes:
        now_ms: the state server's clock, the same for all gateways.
        limit: subscriptions in the whole cluster.
        kept_ms: how long a session is remembered that is over.
        credentials: subscription id -> what goes with its new record.
        failures: patches that a CMS could not apply: session, and what the CMS says.
    """

    def __init__(self, state: State, now_ms: int, limit: int, kept_ms: int) -> None:
        self.now_ms = now_ms
        self.limit = limit
        self.kept_ms = kept_ms
        self.subscriptions = dict(state.subscriptions)
        self.sessions = dict(state.sessions)
        self._before = state
        self.credentials: dict[str, str] = {}
        self.failures: list[tuple[SessionId, str]] = []

    def put(self, subscription: Subscription, credentials: str = "") -> None:
        """Start or replace a subscription."""
        self.subscriptions[subscription.id] = subscription
        if credentials:
            self.credentials[subscription.id] = credentials

    def subscribe(self, wish: Wish, owner: str) -> None:
        """Make the wish `owner`'s, whoever had that subscription before.

        Raises:
            Refused: stream_limit.
        """
        wanted = wish.subscription
        known = self.subscriptions.get(wanted.id)
        if known is None and len(self.subscriptions) >= self.limit:
            text = f"{self.limit} subscriptions are active, which is the limit; unsubscribe some or raise it"
            raise Refused(Code.STREAM_LIMIT, text, wanted.id)
        revision = max(self.now_ms, known.revision + 1 if known else 0)
        begun = known.begun if known and known.group == wanted.group else revision
        self.put(replace(wanted, owner=owner, revision=revision, begun=begun), wish.credentials)

    def bind(self, display: str, session: SessionId) -> None:
        """Give the display a session from now on."""
        history = self.sessions.get(display, ())
        if sessions.at(history, self.now_ms) != session:
            self.sessions[display] = sessions.extended(history, self.now_ms, session, self.kept_ms)

    def remove(self, ids: Sequence[str]) -> None:
        """End subscriptions."""
        for gone in ids:
            self.subscriptions.pop(gone, None)

    def forget_sessions(self, displays: set[str]) -> None:
        """Forget the sessions of those of `displays` that have no subscription left."""
        for display in displays - {s.display for s in self.subscriptions.values()}:
            self.sessions.pop(display, None)

    def queue(self, pipe: AnyPipeline, keys: Keys) -> bool:
        """Queue what differs from the state before; return whether anything does."""
        before, after = self._before, self
        put = [s for s in after.subscriptions.values() if before.subscriptions.get(s.id) is not s]
        for subscription in put:
            subscriptions.put(pipe, keys, subscription, self.credentials.get(subscription.id, ""))
            known = before.subscriptions.get(subscription.id)
            if known is None or known.begun != subscription.begun:
                cursors.begin(pipe, keys, subscription, self.now_ms)
        removed = before.subscriptions.keys() - after.subscriptions.keys()
        if removed:
            subscriptions.remove(pipe, keys, sorted(removed))
            cursors.remove(pipe, keys, sorted(removed))
        bound = {d: history for d, history in after.sessions.items() if before.sessions.get(d) is not history}
        for display, history in bound.items():
            sessions.put(pipe, keys, display, history)
        forgotten = before.sessions.keys() - after.sessions.keys()
        if forgotten:
            sessions.remove(pipe, keys, sorted(forgotten))
        for session, message in after.failures:
            sessions.note_failure(pipe, keys, session, message)
        return bool(put or removed or bound or forgotten or after.failures)


class Change(Protocol):
    """One step from a state to the next. It may be tried again on a newer state, so it keeps nothing."""

    def apply(self, draft: Draft) -> str | None:
        """Change the draft; return the message that answers it, if one does."""
        ...


@dataclass(frozen=True, slots=True)
class Put:
    """`subscribe`."""

    wish: Wish
    owner: str

    def apply(self, draft: Draft) -> str | None:
        """Start, replace or take over the subscription; silence is success."""
        try:
            draft.subscribe(self.wish, self.owner)
        except Refused as refused:
            return refused.message().text()
        return None


@dataclass(frozen=True, slots=True)
class Remove:
    """`unsubscribe`."""

    id: str

    def apply(self, draft: Draft) -> str | None:
        """End the subscription; an unknown one is no trouble."""
        draft.remove([self.id])
        return None


@dataclass(frozen=True, slots=True)
class Bind:
    """`setSessionId`."""

    display: str
    session: SessionId

    def apply(self, draft: Draft) -> str | None:
        """Note the session of the display."""
        draft.bind(self.display, self.session)
        return None


@dataclass(frozen=True, slots=True)
class Fail:
    """A `patchSessionResult` that says that it was none."""

    session: SessionId
    message: str

    def apply(self, draft: Draft) -> str | None:
        """Keep it for the operator."""
        draft.failures.append((self.session, self.message))
        return None
