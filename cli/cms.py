"""The least a CMS does: connect, subscribe, listen; and again when the connection is lost."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect

Message = dict[str, Any]

_RECONNECT_S = 0.5
_TICK_S = 0.25


def listen(
    url: str,
    greeting: Sequence[Mapping[str, Any]],
    stop: Event,
    until_s: float,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Message | None]:
    """Send `greeting` on every new connection and yield what comes back, as it came.

    `headers` go with the handshake; `tls` judges the certificate of a `wss://` address, instead of the system.

    Yields None several times a second while nothing comes, so that a view can age; ends when `stop` is set or
    `time.monotonic()` reaches `until_s`.
    """
    while not _over(stop, until_s):
        try:
            with connect(url, max_size=2**20, proxy=None, additional_headers=headers, ssl=tls) as socket:
                for message in greeting:
                    socket.send(json.dumps(message))
                while not _over(stop, until_s):
                    try:
                        yield json.loads(socket.recv(timeout=_TICK_S))
                    except TimeoutError:
                        yield None
        except (OSError, ConnectionClosed, InvalidHandshake):
            yield None
            stop.wait(_RECONNECT_S)


def _over(stop: Event, until_s: float) -> bool:
    return stop.is_set() or time.monotonic() >= until_s
