"""Whether a connection still has somebody at its other end: what was handed to a dead one was not delivered.

A kernel takes what is sent to a network that has died without a word, for as long as its buffers last. Only a pong
proves that everything before its ping has arrived.
"""

from __future__ import annotations

from typing import Any, cast

from starlette.types import Scope
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

PING_S = 2.0
#: A connection that leaves a ping unanswered for this long is closed.
SILENT_S = 20.0
#: And for this long, it is doubted.
_DOUBT_S = 1.5
_NAME = "detector.liveness"


class Liveness(WebSocketsSansIOProtocol):
    """uvicorn's WebSocket, which remembers what its pings have proven."""

    _proven_s = 0.0
    _given_up = False

    def handle_connect(self, event: Any) -> None:
        """Let the application ask."""
        self._proven_s = self.loop.time()
        super().handle_connect(event)
        if self.response.status_code == 101:
            cast("Any", self.scope)["extensions"][_NAME] = self

    def handle_pong(self, event: Any) -> None:
        """Note what has arrived."""
        pending = self.pending_ping_payload
        super().handle_pong(event)
        if pending is not None and self.pending_ping_payload is None:
            self._proven_s = self.ping_sent_at

    def keepalive_timeout(self) -> None:
        """End the connection, and remember why."""
        self._given_up = True
        super().keepalive_timeout()

    def connection_lost(self, exc: Exception | None) -> None:
        """Remember what is not known any more after this."""
        self._given_up = self.in_doubt_s() > 0
        super().connection_lost(exc)

    def in_doubt_s(self) -> float:
        """Return how long ago that was sent which is known to have arrived; 0: there is no reason for doubt."""
        now_s = self.loop.time()
        unanswered = self.pending_ping_payload is not None and now_s - self.ping_sent_at > _DOUBT_S
        return now_s - self._proven_s if unanswered or self._given_up else 0.0


def in_doubt_s(scope: Scope) -> float:
    """Return for how long nothing has proven that a connection's other end receives; 0: no reason for doubt."""
    protocol = scope["extensions"].get(_NAME)
    return protocol.in_doubt_s() if protocol is not None else 0.0
