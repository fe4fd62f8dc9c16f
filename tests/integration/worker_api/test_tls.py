"""A gateway with a certificate: who talks to it, and what a new certificate changes."""

from __future__ import annotations

import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event

import httpx
import pytest
from websockets.sync.client import connect

from cli import cms as cms_of
from cli.processes import Processes
from cli.stack import Stack
from contract.settings import Settings
from tests.integration.worker_api.gateways import CERTIFICATES, ROOT, Gateway
from tests.servers import RedisServer, eventually
from worker_api import tokens

TOKEN = tokens.new()


def trusting(name: str) -> ssl.SSLContext:
    """Return what a client has who trusts this certificate alone, and checks the host name too."""
    return ssl.create_default_context(cafile=CERTIFICATES / f"{name}.pem")


@dataclass(frozen=True)
class Shown:
    """A gateway and the files of its certificate."""

    gateway: Gateway
    certificate: Path
    key: Path

    def put(self, name: str) -> None:
        """Put another certificate in place, as those who renew them do: a new file under the old name."""
        for target, source in ((self.certificate, f"{name}.pem"), (self.key, f"{name}-key.pem")):
            new = target.with_suffix(".new")
            shutil.copy(CERTIFICATES / source, new)
            new.replace(target)

    @property
    def host(self) -> str:
        return f"localhost:{self.gateway.port}"

    def shows(self, name: str) -> bool:
        try:
            return httpx.get(f"https://{self.host}/health", verify=trusting(name)).is_success
        except httpx.ConnectError:
            return False


@pytest.fixture
def shown(server: RedisServer, tmp_path: Path) -> Iterator[Shown]:
    certificate, key = tmp_path / "gateway.pem", tmp_path / "gateway-key.pem"
    given = {"tls_cert": certificate, "tls_key": key, "tokens": tokens.entry("cms", TOKEN)}
    for target, source in ((certificate, "first.pem"), (key, "first-key.pem")):
        shutil.copy(CERTIFICATES / source, target)
    with Gateway(state_url=server.url, **given) as running:
        yield Shown(running, certificate, key)


def test_a_new_certificate_is_shown_to_new_connections_and_disturbs_no_old_one(shown: Shown) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    with connect(f"wss://{shown.host}/", ssl=trusting("first"), additional_headers=headers) as old:
        old.recv(5)

        shown.put("second")

        assert eventually(lambda: shown.shows("second"))
        assert not shown.shows("first")
        old.send('{"type": "requestState"}')
        assert '"stateReport"' in str(old.recv(5))


def test_our_own_clients_come_in_over_tls(shown: Shown) -> None:
    settings = Settings(port=shown.gateway.port, tls_cert=shown.certificate, tls_key=shown.key)
    stack = Stack(settings, Processes(), token=TOKEN)

    missing = stack.ready()
    messages = cms_of.listen(
        stack.url("ws"), [], Event(), time.monotonic() + 10, headers=stack.headers, tls=stack.tls()
    )

    # Details, so with a token; which ones depends on who gave a sign of life to this server before.
    assert any(word in missing for word in ("capture", "worker", "Redis"))
    assert next(message for message in messages if message)["type"] == "stateReport"
    shown.put("second")
    eventually(lambda: shown.shows("second"))
    settings = Settings(port=shown.gateway.port, tls_cert=CERTIFICATES / "first.pem", tls_key=shown.key)
    assert Stack(settings, Processes(), token=TOKEN).ready() == "the gateway does not answer yet"


def test_the_health_check_asks_over_tls(shown: Shown, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("PORT", shown.gateway.port), ("TLS_CERT", shown.certificate), ("TLS_KEY", shown.key)):
        monkeypatch.setenv(f"DETECTOR_{name}", str(value))

    done = subprocess.run(
        [sys.executable, "-m", "cli.healthcheck", "gateway"], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stdout) == (0, f"127.0.0.1:{shown.gateway.port}/health answers 200\n")


def test_a_certificate_that_cannot_be_used_is_one_line_and_status_2(tmp_path: Path) -> None:
    with Gateway(tls_cert=tmp_path / "none.pem", tls_key=tmp_path / "none.pem") as gateway:
        assert gateway.process.wait(10) == 2
        assert gateway.log == "DETECTOR_TLS_CERT: none.pem cannot be read (No such file or directory)\n"
