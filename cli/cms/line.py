"""The least a CMS does: connect, say what it wants, listen; and again when the connection is lost."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI
from websockets.sync.client import ClientConnection, connect

Message = dict[str, Any]

_RECONNECT_S = 0.5
_TICK_S = 0.25


class Line:
    """A connection to a gateway that is made anew when it is lost. `send` may be called from any thread.

    `headers` go with the handshake; `tls` judges the certificate of a `wss://` address, instead of the system.

    Attributes:
        trouble: why there is no connection; "" while there is one.
    """

    def __init__(self, url: str, headers: Mapping[str, str] | None = None, tls: ssl.SSLContext | None = None) -> None:
        self.trouble = "not connected yet"
        self._url, self._headers, self._tls = url, headers, tls
        self._socket: ClientConnection | None = None

    def send(self, message: Mapping[str, Any]) -> bool:
        """Send a message; return whether there was a connection for it."""
        socket = self._socket
        if socket is None:
            return False
        try:
            socket.send(json.dumps(message))
        except ConnectionClosed:
            return False
        return True

    def listen(
        self, greeting: Callable[[], Iterable[Mapping[str, Any]]], stop: Event, until_s: float
    ) -> Iterator[Message | None]:
        """Send what `greeting` returns on every new connection and yield what comes back, as it came.

        Yields None several times a second while nothing comes, so that a view can age; ends when `stop` is set or
        `time.monotonic()` reaches `until_s`.
        """
        while not _over(stop, until_s):
            try:
                with connect(
                    self._url, max_size=2**20, proxy=None, additional_headers=self._headers, ssl=self._tls
                ) as socket:
                    for message in greeting():
                        socket.send(json.dumps(message))
                    self._socket, self.trouble = socket, ""
                    while not _over(stop, until_s):
                        try:
                            yield _parsed(socket.recv(timeout=_TICK_S))
                        except TimeoutError:
                            yield None
            except (OSError, ConnectionClosed, InvalidHandshake, InvalidURI, ValueError) as exc:
                self._socket, self.trouble = None, str(exc)
                yield None
                stop.wait(_RECONNECT_S)
        self._socket = None


def listen(
    url: str,
    greeting: Sequence[Mapping[str, Any]],
    stop: Event,
    until_s: float,
    *,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Message | None]:
    """Listen as `Line.listen` does, with a greeting that is always the same."""
    return Line(url, headers, tls).listen(lambda: greeting, stop, until_s)


def _parsed(text: str | bytes) -> Message | None:
    """Return the message; None for what is none."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _over(stop: Event, until_s: float) -> bool:
    return stop.is_set() or time.monotonic() >= until_s
