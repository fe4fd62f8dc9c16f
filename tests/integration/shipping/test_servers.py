"""The two servers of docker-compose.yml, started by its own command and configuration, without docker."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from redis import AuthenticationError, OutOfMemoryError, Redis

from contract import clients
from tests.servers import eventually, server_binary
from tests.unit.shipping.files import ROOT, services

PASSWORD = "s3cret"


class Shipped:
    """One server as compose starts it; only its folder, address and memory are the test's."""

    def __init__(self, name: str, home: Path) -> None:
        self.url = f"unix://:{PASSWORD}@{home}/s.sock"
        (home / "bin").mkdir()
        (home / "bin" / "valkey-server").symlink_to(server_binary())
        shipped = (ROOT / "deploy" / f"{name}.conf").read_text()
        shipped = shipped.replace("dir /data\n", f"dir {home}\n").replace(
            "port 6379\n", f"port 0\nunixsocket {home}/s.sock\n"
        )
        (home / "valkey.conf").write_text(re.sub("(?m)^maxmemory .*", "maxmemory 64mb", shipped))
        shell, option, script = services()[name]["command"]
        self._command = [shell, option, script.replace("/etc/valkey.conf", f"{home}/valkey.conf")]
        self._env = {**os.environ, "PATH": f"{home}/bin:{os.environ['PATH']}", "PASSWORD": PASSWORD}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it; return once it answers."""
        process = subprocess.Popen(self._command, env=self._env, stdout=subprocess.DEVNULL)
        with clients.connect(self.url, "test") as client:

            def answers() -> bool:
                try:
                    return bool(client.ping())
                except clients.Down:
                    return False

            eventually(answers)
        return process


@pytest.fixture(params=["state", "frames"])
def shipped(request: pytest.FixtureRequest) -> Iterator[tuple[str, Redis]]:
    """Each of the two, running, and a client of it."""
    with TemporaryDirectory(prefix="detector-") as home:
        server = Shipped(request.param, Path(home))
        process = server.start()
        with clients.connect(server.url, "test") as client:
            yield request.param, client
        process.terminate()
        assert process.wait(10) == 0


def test_both_ask_for_the_password(shipped: tuple[str, Redis]) -> None:
    _, client = shipped
    path = client.connection_pool.connection_kwargs["path"]

    with clients.connect(f"unix://{path}", "test") as stranger, pytest.raises(AuthenticationError):
        stranger.ping()


def test_a_client_that_does_not_read_cannot_fill_the_memory(shipped: tuple[str, Redis]) -> None:
    name, client = shipped

    limits = client.config_get("client-output-buffer-limit", "maxmemory-clients")

    assert str(limits["client-output-buffer-limit"]).startswith("normal 67108864 33554432 30 ")
    assert limits["maxmemory-clients"] == {"state": "10%", "frames": "25%"}[name]


def test_full_frames_forget_and_full_state_refuses(shipped: tuple[str, Redis]) -> None:
    name, client = shipped
    picture = bytes(500_000)

    def fill() -> None:
        for number in range(200):
            client.set(f"frame:{number}", picture, px=10_000 + number)

    if name == "state":
        with pytest.raises(OutOfMemoryError):
            fill()
        assert client.exists("frame:0")
    else:
        fill()
        assert client.exists("frame:199")
        assert not client.exists("frame:0")


def test_what_state_holds_outlives_a_restart_and_frames_do_not() -> None:
    for name, survives in (("state", 1), ("frames", 0)):
        with TemporaryDirectory(prefix="detector-") as home:
            server = Shipped(name, Path(home))
            first = server.start()
            with clients.connect(server.url, "test") as client:
                client.set("subscription", "front")
            first.terminate()
            first.wait(10)
            second = server.start()
            with clients.connect(server.url, "test") as client:
                kept = client.exists("subscription")
            second.terminate()
            second.wait(10)

            assert (name, kept) == (name, survives)
