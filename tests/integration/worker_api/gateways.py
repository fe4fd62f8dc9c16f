"""A real gateway process, and a CMS that speaks to it over a real socket."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from redis import Redis
from websockets.sync.client import ClientConnection, connect

from contract import subscriptions
from contract.keys import Keys
from contract.subscriptions import Subscription, Wanted
from tests.servers import eventually

ROOT = Path(__file__).parents[3]
CERTIFICATES = Path(__file__).parent / "certificates"
Message = dict[str, Any]

_LISTENING = re.compile(r"listening on https?://[^:]+:(\d+)")


#: Nothing is late unless a test is about that.
LENIENT = {"DETECTOR_PATCH_AFTER_SECONDS": "1000000"}


class Gateway:
    """One `python -m worker_api`."""

    def __init__(self, **settings: object) -> None:
        """`settings` are environment variables without their prefix, in lower case."""
        descriptor, name = tempfile.mkstemp(prefix="gateway-", suffix=".log")
        self._log = Path(name)
        own = {f"DETECTOR_{name.upper()}": str(value) for name, value in settings.items()}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        environment = inherited | {"DETECTOR_KEY_PREFIX": "t:", "DETECTOR_PORT": "0"} | LENIENT | own
        command = [sys.executable, "-m", "worker_api"]
        self.process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=descriptor)
        os.close(descriptor)
        self._port = 0

    def __enter__(self) -> Gateway:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        self._log.unlink()

    @property
    def log(self) -> str:
        """What the process has written to standard error."""
        return self._log.read_text()

    @property
    def port(self) -> int:
        """The port it listens on, once it does."""
        if not self._port:
            self._port = eventually(self._announced)
        return self._port

    def _announced(self) -> int:
        found = _LISTENING.search(self.log)
        assert found or self.process.poll() is None, self.log
        return int(found.group(1)) if found else 0

    @property
    def http(self) -> str:
        """Its address for HTTP."""
        return f"http://127.0.0.1:{self.port}"

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal; return the exit status."""
        self.process.send_signal(number)
        return self.process.wait(6.0)

    @contextmanager
    def cms(self, **options: Any) -> Iterator[Cms]:
        """A CMS that is connected."""
        with connect(f"ws://127.0.0.1:{self.port}/", max_size=None, proxy=None, **options) as socket:
            yield Cms(socket)


class Cms:
    """The other side of the protocol."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        #: Everything that was received, oldest first.
        self.seen: list[Message] = []

    def send(self, message: object) -> None:
        """Send one message; text goes as it is."""
        self.socket.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, within_s: float = 5.0) -> Message:
        """Return the next message, whatever it is."""
        message: Message = json.loads(self.socket.recv(within_s))
        self.seen.append(message)
        return message

    def expect(self, kind: str, where: Callable[[Message], bool] = lambda _: True, within_s: float = 5.0) -> Message:
        """Return the next message of this type that fits; fail when none comes in time."""
        deadline = time.monotonic() + within_s
        while True:
            left_s = deadline - time.monotonic()
            try:
                message = self.receive(max(left_s, 0.0))
            except TimeoutError:
                raise AssertionError(f"no {kind} within {within_s:g} s; seen: {self.seen[-5:]}") from None
            if message["type"] == kind and where(message):
                return message

    def settle(self) -> list[Message]:
        """Return all that comes before the answer to a question asked now, apart from reports."""
        before = len(self.seen)
        mark = time.time_ns()
        self.send({"type": "patchSession", "sessionId": mark, "data": {}})
        self.expect("patchSessionResult", lambda m: m["payload"]["sessionId"] == mark)
        return [m for m in self.seen[before:-1] if m["type"] != "stateReport"]

    def report(self) -> Message:
        """Return a state report that was asked for now; one that was due already may come in its stead."""
        self.send({"type": "requestState"})
        return self.expect("stateReport")

    def subscribe(self, identifier: str = "d1;c1", **payload: object) -> None:
        """Subscribe to a camera that nobody has to open."""
        self.send({"type": "subscribe", "payload": wish(identifier, **payload)})


def wish(identifier: str = "d1;c1", **payload: object) -> Message:
    """Return a subscribe payload; `None` leaves a field out."""
    fields = {
        "subscriptionIdentifier": identifier,
        "rtspUrl": "rtsp://camera.example/one",
        "modelUrl": "http://models.example/m.mpta",
        "modelId": 101,
        "modelName": "General",
    }
    return {name: value for name, value in (fields | payload).items() if value is not None}


#: What `add_result` counts from. Recent enough for a whole run of tests with the `gateway` fixture's idea of late.
BEGAN_MS = time.time_ns() // 1_000_000 - 100_000


def add_result(
    redis: Redis,
    keys: Keys,
    identifier: str,
    captured: int,
    *,
    nothing: bool = False,
    entry_id: str = "*",
    session: int | str | None = None,
    **data: object,
) -> None:
    """Append a result to the stream as a worker's turn does.

    Args:
        redis: the server.
        keys: its keys.
        identifier: the subscription.
        captured: ms after `BEGAN_MS`; also in the message, for tests to tell messages apart.
        nothing: nothing was seen.
        entry_id: where it stands in the stream.
        session: that the display had.
        data: of the message.
    """
    captured_ms = BEGAN_MS + captured
    content: Message = {"type": "imageDetection", "subscriptionIdentifier": identifier, "captured": captured}
    content |= {"data": data, "detectionId": f"{identifier}/{captured}"}
    if session is not None:
        content["sessionId"] = session
    fields: dict[Any, Any] = {"s": identifier, "c": captured_ms, "n": int(nothing), "b": json.dumps(content)}
    redis.xadd(keys.detections, fields, id=entry_id)


def now() -> int:
    """Return the present as `add_result` counts it."""
    return time.time_ns() // 1_000_000 - BEGAN_MS


def stored(
    redis: Redis, keys: Keys, identifier: str = "d1;c1", fits: Callable[[Subscription], bool] = lambda _: True
) -> Subscription:
    """Return the stored subscription once it is there and fits."""

    def probe() -> list[Subscription]:
        found = subscriptions.read(redis, keys).subscriptions.get(identifier)
        return [found] if found and fits(found) else []

    return eventually(probe)[0]


def gone(redis: Redis, keys: Keys, identifier: str = "d1;c1", within_s: float = 10.0) -> None:
    """Return once there is no such subscription."""
    eventually(lambda: identifier not in subscriptions.read(redis, keys).subscriptions, within_s)


def wanted(redis: Redis, keys: Keys, *, count: int) -> Wanted:
    """Return what is wanted, once that is `count` subscriptions."""
    return eventually(lambda: [w for w in [subscriptions.read(redis, keys)] if len(w.subscriptions) == count])[0]
