"""What a CMS wants at the moment, which is what a new connection has to be told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from threading import Lock
from typing import Any

from cli.cms.line import Message


class Wishes:
    """Follows the messages of a CMS. Thread-safe."""

    def __init__(self) -> None:
        self._subscriptions: dict[str, Any] = {}
        self._sessions: dict[str, Any] = {}
        self._lock = Lock()

    def follow(self, message: Mapping[str, Any]) -> None:
        """Note what a message of the CMS changes; one that makes no sense changes nothing."""
        payload = message.get("payload")
        if not isinstance(payload, Mapping):
            return
        with self._lock:
            match message.get("type"):
                case "subscribe":
                    self._subscriptions[str(payload.get("subscriptionIdentifier"))] = payload
                case "unsubscribe":
                    self._subscriptions.pop(str(payload.get("subscriptionIdentifier")), None)
                case "setSessionId":
                    self._sessions[str(payload.get("displayIdentifier"))] = payload.get("sessionId")
                case "setSubscriptions" if isinstance(payload.get("subscriptions"), list):
                    wanted = [each for each in payload["subscriptions"] if isinstance(each, Mapping)]
                    self._subscriptions = {str(each.get("subscriptionIdentifier")): each for each in wanted}

    def greeting(self) -> list[Message]:
        """Return what brings a new connection to where the last one was."""
        with self._lock:
            return [*self._bindings(), *({"type": "subscribe", "payload": p} for p in self._subscriptions.values())]

    def _bindings(self) -> Iterator[Message]:
        for display, session in self._sessions.items():
            if session is not None:
                yield {"type": "setSessionId", "payload": {"displayIdentifier": display, "sessionId": session}}
