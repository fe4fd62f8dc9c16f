"""`contract.guarded`: where httpx connects, with real servers at several addresses of loopback."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

from contract.addresses import Allowed
from contract.errors import UrlRefused
from contract.guarded import Transport
from tests.integration.worker_api.gateways import CERTIFICATES


class Site:
    """Answers everything with a redirect to `leads_to`, or with its own address; `asked` counts."""

    def __init__(self, address: str, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.asked, self.leads_to = 0, ""
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                site.asked += 1
                body = address.encode()
                self.send_response(302 if site.leads_to else 200)
                if site.leads_to:
                    self.send_header("Location", site.leads_to)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None:
                return

        self.server = ThreadingHTTPServer((address, port), Handler)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_port
        self._thread = threading.Thread(target=self.server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def __enter__(self) -> Site:
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()


@pytest.fixture
def site() -> Iterator[Callable[..., Site]]:
    """Begin to serve at an address."""
    with ExitStack() as opened:
        yield lambda *args, **options: opened.enter_context(Site(*args, **options))


def get(url: str, *entries: str, tls: ssl.SSLContext | None = None) -> httpx.Response:
    allowed = Allowed.of(entries, "DETECTOR_CAMERA_HOSTS")
    transport = Transport(allowed, tls=tls or ssl.create_default_context(), connections=1)
    with httpx.Client(transport=transport, follow_redirects=True, trust_env=False, timeout=5) as client:
        return client.get(url)


def resolving(monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> list[str]:
    """Let names mean other addresses each time they are looked up; return the list of what was looked up."""
    left, asked, real = list(answers), [], socket.getaddrinfo

    def lookup(host: str, port: int, *args: Any, **options: Any) -> list[Any]:
        if not host.endswith(".example"):
            return real(host, port, *args, **options)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (each, port)) for each in left.pop(0)]

    monkeypatch.setattr(socket, "getaddrinfo", lookup)
    return asked


def test_a_redirect_to_where_nobody_may_go_is_not_followed(site: Callable[..., Site]) -> None:
    inner = site("127.0.0.2")
    camera = site("127.0.0.1")
    camera.leads_to = f"http://127.0.0.2:{inner.port}/"

    with pytest.raises(UrlRefused, match="DETECTOR_CAMERA_HOSTS"):
        get(f"http://127.0.0.1:{camera.port}/", "127.0.0.1")

    assert (camera.asked, inner.asked) == (1, 0)
    assert get(f"http://127.0.0.1:{camera.port}/", "127.0.0.0/8").text == "127.0.0.2"


def test_a_redirect_to_a_clouds_metadata_is_never_followed(site: Callable[..., Site]) -> None:
    camera = site("127.0.0.1")
    camera.leads_to = "http://169.254.169.254/latest/meta-data/"

    with pytest.raises(UrlRefused):
        get(f"http://127.0.0.1:{camera.port}/")


def test_the_address_that_was_judged_is_the_one_that_is_connected_to(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = site("127.0.0.1")
    site("127.0.0.2", camera.port)
    asked = resolving(monkeypatch, ["127.0.0.1"], ["127.0.0.2"])

    assert get(f"http://cam.example:{camera.port}/", "127.0.0.1").text == "127.0.0.1"
    assert asked == ["cam.example"]
    with pytest.raises(UrlRefused):
        get(f"http://cam.example:{camera.port}/", "127.0.0.1")


def test_of_several_addresses_the_first_that_answers_is_taken(
    site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = site("127.0.0.3")
    resolving(monkeypatch, ["127.0.0.1", "127.0.0.3", "127.0.0.2"], ["127.0.0.1"])

    assert get(f"http://cam.example:{camera.port}/").text == "127.0.0.3"
    with pytest.raises(httpx.ConnectError):
        get(f"http://cam.example:{camera.port}/")


def test_a_name_that_means_nothing_is_a_failed_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)

    with pytest.raises(httpx.ConnectError):
        get("http://cam.example/")


def test_a_certificate_is_checked_against_the_name_and_not_the_address(site: Callable[..., Site]) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "first.pem", CERTIFICATES / "first-key.pem")
    shop = site("127.0.0.1", tls=context)
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "first.pem")

    assert get(f"https://localhost:{shop.port}/", "localhost", tls=trusting).text == "127.0.0.1"


def test_a_wrong_name_in_a_certificate_is_found(site: Callable[..., Site], monkeypatch: pytest.MonkeyPatch) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATES / "first.pem", CERTIFICATES / "first-key.pem")
    shop = site("127.0.0.1", tls=context)
    trusting = ssl.create_default_context(cafile=CERTIFICATES / "first.pem")
    resolving(monkeypatch, ["127.0.0.1"])

    with pytest.raises(httpx.ConnectError, match="match"):
        get(f"https://cam.example:{shop.port}/", tls=trusting)
