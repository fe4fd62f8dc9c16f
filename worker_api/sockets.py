"""Sockets of clients that have said nothing yet: how long and how many of them are borne.

uvicorn waits for ever for the first byte of a request, and for each after it.
"""

from __future__ import annotations

import asyncio
import logging
import resource
from typing import Any

import h11
import uvloop
from uvicorn.protocols.http.h11_impl import H11Protocol

log = logging.getLogger(__name__)

#: A request must have come this long after the connection was opened or the last one answered.
REQUEST_S = 10.0
#: Beside the CMS connections: pictures, probes, and whoever has not said yet what it wants.
SPARE = 256
#: Files of the process's own: log, servers, event loop.
_OWN_FILES = 64

_FULL = b'{"detail":"this gateway has as many connections as it may; try again later"}'
_BUSY = (
    b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n"
    b"retry-after: 5\r\ncontent-length: %d\r\n\r\n%b" % (len(_FULL), _FULL)
)


class Loop(uvloop.Loop):
    """uvloop, with as little patience for the handshake of TLS as for a request: its own is a minute."""

    async def create_server(self, *args: Any, **options: Any) -> asyncio.Server:
        """Listen."""
        listen: Any = super().create_server
        if options.get("ssl") is not None:
            options["ssl_handshake_timeout"] = REQUEST_S
        server: asyncio.Server = await listen(*args, **options)
        return server


def protocol(most: int) -> type[H11Protocol]:
    """Return uvicorn's HTTP with an end to its patience, for at most `most` sockets."""

    class Impatient(H11Protocol):
        _deadline: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > most:
                transport.write(_BUSY)
                transport.close()
                return
            self._begin_to_wait()

        def connection_lost(self, exc: Exception | None) -> None:
            self._stop_waiting()
            super().connection_lost(exc)

        def on_response_complete(self) -> None:
            self._stop_waiting()
            self._begin_to_wait()
            super().on_response_complete()  # It may find an upgrade that came along, and that must have the last word.

        def handle_websocket_upgrade(self, event: h11.Request) -> None:
            self._stop_waiting()
            super().handle_websocket_upgrade(event)

        def _begin_to_wait(self) -> None:
            self._deadline = self.loop.call_later(REQUEST_S, self._give_up)

        def _stop_waiting(self) -> None:
            if self._deadline is not None:
                self._deadline.cancel()

        def _give_up(self) -> None:
            if self.cycle is None or self.cycle.response_complete:
                self.transport.close()

    return Impatient


def make_room(sockets: int) -> None:
    """Let this process have so many sockets open, as far as the system allows."""
    wanted = sockets + _OWN_FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
        if allowed < wanted:
            log.warning("the system allows %d open files, too few for DETECTOR_MAX_CONNECTIONS; see ulimit -n", allowed)
