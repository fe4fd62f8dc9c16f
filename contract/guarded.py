"""HTTP connections that lead to allowed hosts only: first ones, and those that a redirect asks for."""

from __future__ import annotations

import ssl
from collections.abc import Iterable

import httpcore
import httpx

from contract.addresses import Allowed

_KEEPALIVE_S = 5.0


class Transport(httpx.HTTPTransport):
    """For `httpx.Client(transport=…)`: resolves each host itself and connects to addresses that are allowed.

    Requests raise `contract.errors.UrlRefused` when there are none. TLS still checks the name that the URL has. It
    takes no proxy: who connects through one does not choose the address.
    """

    def __init__(self, allowed: Allowed, *, tls: ssl.SSLContext, connections: int) -> None:
        super().__init__(verify=tls, trust_env=False)
        # httpx has no argument for it; everything else about its own pool is as here.
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=connections,
            keepalive_expiry=_KEEPALIVE_S,
            network_backend=_Backend(allowed),
        )


class _Backend(httpcore.NetworkBackend):
    def __init__(self, allowed: Allowed) -> None:
        self._allowed = allowed
        self._plain = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first allowed address of `host` that answers."""
        try:
            addresses = self._allowed.resolve(host, port)
        except OSError as exc:
            raise httpcore.ConnectError(str(exc)) from exc
        *others, last = addresses
        for address in others:
            try:
                return self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return self._plain.connect_tcp(last, port, timeout, local_address, socket_options)
