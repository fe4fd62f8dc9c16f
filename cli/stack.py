"""What `detector up` runs: servers where none are named, gateway, capture, one worker, Flower."""

from __future__ import annotations

import os
import socket
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from typing import IO

import httpx

from cli import embedded
from cli.processes import Child, Processes
from contract.errors import DetectorError
from contract.settings import PREFIX, Settings
from worker_api import exposure, tokens

_READY_S = 60.0


class PortTaken(DetectorError):
    """Something else listens where one of ours should."""


class NotReady(DetectorError):
    """The processes run but do not get to work."""


@dataclass(frozen=True, slots=True)
class Stack:
    """A running system.

    Attributes:
        env: the variables that every process of it was given beside ours.
        token: lets this process enter the gateway; "" when nobody needs one. Made at start, known to nobody else.
    """

    settings: Settings
    processes: Processes
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)

    @property
    def address(self) -> str:
        """Host and port at which this machine reaches the gateway."""
        host = self.settings.host
        return f"{'127.0.0.1' if host in {'0.0.0.0', '::'} else host}:{self.settings.port}"

    def url(self, scheme: str) -> str:
        """Return where this machine reaches the gateway by `scheme`, "http" or "ws", or the same over TLS."""
        return f"{scheme}{'s' if self.settings.tls_cert else ''}://{self.address}"

    @property
    def headers(self) -> dict[str, str]:
        """What a request of ours carries to be let in."""
        return {"Authorization": f"Bearer {self.token}"} if self.token else {}

    def tls(self) -> ssl.SSLContext | None:
        """Return a context that takes the gateway's own certificate and no other, whatever host it names."""
        if self.settings.tls_cert is None:
            return None
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.load_verify_locations(self.settings.tls_cert)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
        return context

    def ready(self) -> str:
        """Return "" when the gateway, capture and a worker are at work, else what is missing."""
        url, tls = f"{self.url('http')}/ready", self.tls()
        try:
            answer = httpx.get(
                url, headers=self.headers, timeout=2.0, trust_env=False, verify=True if tls is None else tls
            )
        except httpx.HTTPError:
            return "the gateway does not answer yet"
        return "" if answer.is_success else str(answer.json().get("detail", "not ready"))


@contextmanager
def running(settings: Settings, *, durable: bool, output: IO[bytes] | None, home: Path) -> Iterator[Stack]:
    """Start everything, hand it over, and stop everything at the end.

    Args:
        settings: this process's.
        durable: subscriptions and sessions in an embedded server outlive it.
        output: where the processes' output goes; None: where ours goes.
        home: folder of the embedded servers' files.

    Raises:
        PortTaken: another program listens on the gateway's or Flower's port.
        embedded.NoServer: no server program, or it does not start.
    """
    _must_be_free(settings.host, settings.port, "PORT")
    if settings.flower:
        _must_be_free("127.0.0.1", settings.flower_port, "FLOWER_PORT")
    if output is not None and (warning := exposure.warning(settings)) is not None:
        sys.stderr.write(f"{warning}\n")  # The gateway's own words go where nobody looks.
    processes = Processes()
    env: dict[str, str] = {}
    token = tokens.new() if settings.tokens else ""
    if token:
        env[f"{PREFIX}TOKENS"] = ",".join((*settings.tokens, tokens.entry("detector", token)))
    try:
        for server, variable in _servers(settings, home, durable=durable):
            processes.start(Child(f"{server.name} server", server.command, {}, server.configuration(), output))
            server.wait()
            env[PREFIX + variable] = server.url
        if settings.flower_basic_auth is not None:
            env["FLOWER_BASIC_AUTH"] = settings.flower_basic_auth  # Not an option: `ps` would show it.
        for name, command in _commands(settings):
            processes.start(Child(name, command, env, output=output))
        yield Stack(settings, processes, env, token)
    finally:
        processes.stop()


def _servers(settings: Settings, home: Path, *, durable: bool) -> Iterator[tuple[embedded.Server, str]]:
    if settings.state_url is not None:
        return
    yield embedded.state(home, durable=durable), "STATE_URL"
    if settings.frames_url is None:
        yield embedded.frames(home), "FRAMES_URL"


def _commands(settings: Settings) -> Iterator[tuple[str, list[str]]]:
    python = sys.executable
    celery = [python, "-m", "celery", "-A", "tasks"]
    yield "gateway", [python, "-m", "worker_api"]
    yield "capture", [python, "-m", "capture"]
    yield "worker", [*celery, "worker", "--without-gossip", "--without-mingle", "--loglevel", settings.log_level]
    if settings.flower:
        yield "flower", [*celery, "flower", "--address=127.0.0.1", f"--port={settings.flower_port}", "--max_tasks=2000"]


def _must_be_free(host: str, port: int, variable: str) -> None:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as exc:
            reason = os.strerror(exc.errno or 0)
            raise PortTaken(
                f"cannot listen on {host}:{port} ({reason}); set {PREFIX}{variable} to a free port"
            ) from exc


def wait_until_ready(stack: Stack, stop: Event, within_s: float = _READY_S) -> None:
    """Return once everything is at work, or `stop` is set.

    Raises:
        NotReady: it is not within `within_s`; the message says what is missing.
    """
    deadline = time.monotonic() + within_s
    while missing := stack.ready():
        if time.monotonic() > deadline:
            raise NotReady(f"not at work after {within_s:g} s: {missing}")
        if stop.wait(0.2):
            return
