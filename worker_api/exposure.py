"""Who reaches the gateway, and what an operator must know of it."""

from __future__ import annotations

import ipaddress

from contract.settings import Settings


def warning(settings: Settings) -> str | None:
    """Return the warning of a gateway that other hosts reach and anybody may enter, else None."""
    if settings.tokens or is_loopback(settings.host):
        return None
    bar = "=" * 100
    where = f"{settings.host}, port {settings.port},"
    return f"""OPEN TO EVERYBODY
{bar}
The gateway listens on {where} and asks nobody for a token: whoever reaches it
sees all pictures and can have any address opened as a camera. Make a token with `detector token` and
set DETECTOR_TOKENS, or let only this host reach it: DETECTOR_HOST=127.0.0.1.
{bar}"""


def is_loopback(host: str) -> bool:
    """Return whether `host`, a name or an address, is this machine as only itself can reach it."""
    return host == "localhost" or (is_number(host) and ipaddress.ip_address(host).is_loopback)


def is_number(host: str) -> bool:
    """Return whether `host` is an address and not a name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
