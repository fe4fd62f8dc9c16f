"""The whole system as a customer runs it: `detector up`, and a CMS that listens."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from cli import embedded
from tests.servers import eventually

ROOT = Path(__file__).parents[2]
Message = dict[str, Any]


class System:
    """One `detector up`."""

    def __init__(self, home: Path, **settings: object) -> None:
        """`settings` are environment variables without their prefix, in lower case."""
        self.port, self.flower_port = embedded.free_port(), embedded.free_port()
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("DETECTOR_")}
        own = {f"DETECTOR_{name.upper()}": str(value) for name, value in settings.items()}
        own |= {"DETECTOR_PORT": str(self.port), "DETECTOR_FLOWER_PORT": str(self.flower_port)}
        own |= {"DETECTOR_DATA_DIR": str(home / "data"), "DETECTOR_MODEL_DIRS": str(ROOT / "models")}
        self._home, self._env = home, inherited | own
        self._log = (home / "up.log").open("wb+")
        command = [sys.executable, "-m", "cli.main", "up"]
        self.process = subprocess.Popen(command, cwd=home, env=self._env, stderr=self._log)

    def ready(self) -> bool:
        """Return whether gateway, capture and worker are at work."""
        assert self.process.poll() is None, self.said()
        try:
            return httpx.get(f"http://127.0.0.1:{self.port}/ready", trust_env=False).is_success
        except httpx.TransportError:
            return False

    def status(self) -> Message:
        """Return what `detector status` prints beside it."""
        command = [sys.executable, "-m", "cli.main", "status", "--json"]
        done = subprocess.run(command, cwd=self._home, env=self._env, capture_output=True, text=True, check=False)
        status: Message = json.loads(done.stdout)
        assert done.returncode == int(not status["well"]), done.stderr
        return status

    def said(self) -> str:
        """Return what its processes logged."""
        return Path(self._log.name).read_text()

    def children(self) -> list[psutil.Process]:
        """Return every process below it."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def child(self, words: str) -> psutil.Process:
        """Return the child whose command line has `words` in it."""
        return next(p for p in psutil.Process(self.process.pid).children() if words in " ".join(p.cmdline()))

    def end(self) -> int:
        """Ask it to end; return its exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(10.0)

    def close(self) -> None:
        """End it whatever happened."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(15.0)
        self._log.close()


class Cms:
    """Keeps every message that comes."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.messages: list[Message] = []
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    def _listen(self) -> None:
        try:
            for text in self._socket:
                self.messages.append(json.loads(text))
        except ConnectionClosed:
            return

    def send(self, kind: str, **payload: Any) -> None:
        """Send one message."""
        self._socket.send(json.dumps({"type": kind, "payload": payload}))

    def detections(self, subscription: str) -> list[Message]:
        """Return the `imageDetection`s of a subscription so far, in order of arrival."""
        found = [m for m in self.messages if m["type"] == "imageDetection"]
        return [m for m in found if m["subscriptionIdentifier"] == subscription]

    def errors(self) -> list[Message]:
        """Return the `error`s so far; that this machine is too slow for what is asked is no fault."""
        return [m for m in self.messages if m["type"] == "error" and m["code"] != "overloaded"]

    def close(self) -> None:
        """Hang up."""
        self._socket.close()
        self._listener.join()


@contextmanager
def running(home: Path, **settings: object) -> Iterator[System]:
    """A system that is at work."""
    system = System(home, **settings)
    try:
        eventually(system.ready, within_s=60.0, every_s=0.1)
        yield system
    finally:
        system.close()


@contextmanager
def connected(system: System) -> Iterator[Cms]:
    """A CMS that is connected."""
    with connect(f"ws://127.0.0.1:{system.port}/", proxy=None) as socket:
        cms = Cms(socket)
        yield cms
        cms.close()
