"""One connection to the worker that is judged: everything that came, and when."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection

Message = dict[str, Any]
Fits = Callable[[Message], bool]


@dataclass(frozen=True, slots=True)
class Heard:
    """One frame: when it came on the monotonic clock, and what it held; None: not one JSON object with a type."""

    at_s: float
    message: Message | None
    raw: str | bytes = field(repr=False)

    def is_a(self, kind: str, fits: Fits) -> bool:
        """Return whether it is a message of this type that fits."""
        return self.message is not None and self.message["type"] == kind and fits(self.message)


class Peer:
    """Listens on a thread of its own from the first moment, so that what is late is the worker."""

    def __init__(self, socket: ClientConnection) -> None:
        self.opened_s = time.monotonic()
        self.heard: list[Heard] = []
        self.closed = False
        self._socket = socket
        self._news = threading.Condition()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        try:
            for raw in self._socket:
                heard = Heard(time.monotonic(), _parsed(raw), raw)
                with self._news:
                    self.heard.append(heard)
                    self._news.notify_all()
        except ConnectionClosed:
            pass
        with self._news:
            self.closed = True
            self._news.notify_all()

    def send(self, message: object) -> None:
        """Send one message; text and bytes go as they are. Into a closed connection: nothing happens."""
        try:
            self._socket.send(message if isinstance(message, str | bytes) else json.dumps(message))
        except ConnectionClosed:
            return

    def mark(self) -> int:
        """Return where what comes from now on will begin."""
        return len(self.heard)

    def expect(self, kind: str, since: int, within_s: float, fits: Fits = lambda _: True) -> Heard | None:
        """Return the first message of this type that fits and came after `since`; None when none comes in time."""
        deadline_s = time.monotonic() + within_s
        with self._news:
            while True:
                for heard in self.heard[since:]:
                    if heard.is_a(kind, fits):
                        return heard
                since = len(self.heard)
                left_s = deadline_s - time.monotonic()
                if self.closed or left_s <= 0:
                    return None
                self._news.wait(left_s)

    def messages(self, kind: str, since: int = 0, fits: Fits = lambda _: True) -> Iterator[Heard]:
        """Yield what came so far."""
        return (heard for heard in list(self.heard[since:]) if heard.is_a(kind, fits))

    def close(self) -> None:
        """Hang up."""
        self._socket.close()


def _parsed(raw: str | bytes) -> Message | None:
    if isinstance(raw, bytes):
        return None
    try:
        content = json.loads(raw)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) and isinstance(content.get("type"), str) else None
