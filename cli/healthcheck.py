"""`python -m cli.healthcheck [ROLE]`: is the process of this container well? Exit 0 or 1, and one sentence.

The gateway and Flower are asked over HTTP. Capture and worker are not reachable: their last sign of life is read from
the state server. Without ROLE any process of this host will do: an image does not know which part it will run.

It says that a process lives, not that detections flow: that is `GET /ready`, and killing a worker because a camera is
away would help nobody. With `network_mode: host` containers share a host name and so answer for each other.
"""

from __future__ import annotations

import http.client
import socket
import ssl
import sys

from contract import clients, nodes, settings
from contract.errors import SettingsInvalid
from contract.keys import Keys
from contract.settings import Settings

_TIMEOUT_S = 3.0
ROLES = ("gateway", "flower", "capture", "worker")


def main(arguments: list[str]) -> int:
    """Say how the process is; return the exit status."""
    if arguments[1:] or not set(arguments) <= set(ROLES):
        return _say(1, f"usage: python -m cli.healthcheck [{'|'.join(ROLES)}]")
    try:
        config = settings.load()
    except SettingsInvalid as exc:
        return _say(1, str(exc))
    match arguments:
        case ["gateway"]:
            return _over_http(config.host, config.port, "/health", tls=config.tls_cert is not None)
        case ["flower"]:
            return _over_http("127.0.0.1", config.flower_port, "/healthcheck")
    return _by_sign(config, *arguments)


def _over_http(host: str, port: int, path: str, *, tls: bool = False) -> int:
    reached = "127.0.0.1" if host in {"0.0.0.0", "::"} else host
    connection = http.client.HTTPConnection(reached, port, timeout=_TIMEOUT_S)
    if tls:
        # Whoever answers there is this container's own: nothing secret is sent, and an expired certificate is no
        # illness that a restart would cure.
        unchecked = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        unchecked.check_hostname, unchecked.verify_mode = False, ssl.CERT_NONE
        connection = http.client.HTTPSConnection(reached, port, timeout=_TIMEOUT_S, context=unchecked)
    try:
        connection.request("GET", path)
        status = connection.getresponse().status
    except (OSError, http.client.HTTPException) as exc:
        return _say(1, f"{reached}:{port}{path} does not answer ({exc})")
    finally:
        connection.close()
    return _say(int(status != http.HTTPStatus.OK), f"{reached}:{port}{path} answers {status}")


def _by_sign(config: Settings, role: str | None = None) -> int:
    here, wanted = socket.gethostname(), role or "detector"
    try:
        with clients.connect(config.state, "healthcheck") as client:
            living = nodes.read(client, Keys(config.key_prefix))
    except clients.Down:
        return _say(1, "the state server does not answer, or not to us")
    found = [node for node in living if node.host == here and role in {None, node.role}]
    if not found:
        return _say(1, f"no {wanted} process on {here} gave a sign of life for {nodes.ALIVE_MS // 1000} s")
    newest = min(found, key=lambda node: node.age_ms)
    return _say(0, f"{newest.id} lives; last sign {newest.age_ms / 1000:.1f} s ago")


def _say(status: int, sentence: str) -> int:
    sys.stdout.write(f"{sentence}\n")
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
