"""`python -m worker_api`: one gateway process."""

from __future__ import annotations

import logging
import signal
import socket
import sys

import uvicorn
from fastapi import FastAPI

from contract import logs, settings
from contract.errors import SettingsInvalid
from contract.settings import Settings
from worker_api import exposure, liveness, sockets
from worker_api.app import create_app
from worker_api.gateway import Gateway
from worker_api.tls import Certificate

log = logging.getLogger("worker_api")

#: What an end may take: the goodbyes to CMSs, then all that still runs. With the goodbye to the cluster below 5 s.
_GRACE_S = 2
_GOODBYES_S = 1.0
#: Larger messages than we accept are read up to here, so that they can be answered instead of cut off.
_READ_BYTES = 16 * 2**20
#: The certificate's files are looked at each so many of uvicorn's ticks of a tenth of a second.
_TICKS = 20


class _Server(uvicorn.Server):
    """uvicorn, with goodbyes in our words (1001, not 1012), and a certificate that may change."""

    def __init__(self, config: uvicorn.Config, app: FastAPI, certificate: Certificate | None) -> None:
        super().__init__(config)
        self._gateway: Gateway = app.state.gateway
        self._certificate = certificate

    async def on_tick(self, counter: int) -> bool:
        """Look after what must be looked after now and then; return whether it is time to end."""
        if self._certificate is not None and counter % _TICKS == 0:
            self._certificate.refresh()
        return await super().on_tick(counter)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let connections close themselves before uvicorn does it."""
        await self._gateway.close(_GOODBYES_S)
        await super().shutdown(sockets)


def main() -> int:
    """Serve until told to stop; return the exit status."""
    try:
        config = settings.load()
        certificate = _certificate(config)
    except SettingsInvalid as exc:
        sys.stderr.write(f"{exc}\n")
        return 2
    logs.configure(config, "gateway")
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").addFilter(_without_clients_faults)
    try:
        listener = _listen(config.host, config.port)
    except OSError as exc:
        reason = str(exc.strerror).partition(" (")[0]
        sys.stderr.write(f"cannot listen on {config.host}:{config.port} ({reason}); set DETECTOR_PORT\n")
        return 1
    sockets.make_room(config.max_connections + sockets.SPARE)
    app = create_app(config)
    server = _Server(_uvicorn_config(app, config, certificate), app, certificate)
    for each in (signal.SIGTERM, signal.SIGINT):
        # uvicorn puts its own in place while it serves, and raises the signal again after that: nothing more to do.
        signal.signal(each, lambda *_: setattr(server, "should_exit", True))
    host, port = listener.getsockname()[:2]
    scheme = "http" if certificate is None else "https"
    log.info("listening on %s://%s:%d", scheme, f"[{host}]" if ":" in host else host, port)
    _warn(config)
    server.run(sockets=[listener])
    return 1 if app.state.failed else 0


def _certificate(config: Settings) -> Certificate | None:
    if config.tls_cert is None or config.tls_key is None:
        return None
    return Certificate(config.tls_cert, config.tls_key)


def _warn(config: Settings) -> None:
    if (warning := exposure.warning(config)) is not None:
        log.warning("%s", warning)
    elif config.tokens and config.tls_cert is None and not exposure.is_loopback(config.host):
        log.info("tokens and pictures are sent in clear: set DETECTOR_TLS_CERT, or let a proxy in front do TLS")


def _without_clients_faults(record: logging.LogRecord) -> bool:
    """Leave out what uvicorn logs of clients' faults as if they were ours; whether the record is worth a line."""
    if record.exc_info is not None and isinstance(record.exc_info[1], UnicodeDecodeError):
        record.exc_info = None  # A text frame that is not UTF-8: the line is enough.
    # So uvicorn calls a connection that was answered with a status instead of accepted; `Entry` has told of it.
    return record.msg != "ASGI callable returned without completing handshake."


def _listen(host: str, port: int) -> socket.socket:
    """Return a listening socket: from here on connections wait for us instead of being refused."""
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    return socket.create_server((host, port), family=family, backlog=2048)


def _uvicorn_config(app: FastAPI, config: Settings, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="worker_api.sockets:Loop",
        http=sockets.protocol(config.max_connections + sockets.SPARE),
        ws=liveness.Liveness,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
        lifespan="on",
        access_log=False,
        log_config=None,
        log_level=None,
        ws_max_size=max(_READ_BYTES, 2 * config.max_message_bytes),
        ws_max_queue=16,
        ws_ping_interval=liveness.PING_S,
        ws_ping_timeout=liveness.SILENT_S,
        ws_per_message_deflate=False,
        timeout_graceful_shutdown=_GRACE_S,
        server_header=False,
    )


if __name__ == "__main__":
    for early in (signal.SIGTERM, signal.SIGINT):
        # Until `main` has its own: an end during the start is an end in good order too.
        signal.signal(early, lambda *_: sys.exit(0))
    sys.exit(main())
