"""Which web pages may connect: a browser sends their origin along, and lets any page open a WebSocket anywhere."""

from __future__ import annotations

from urllib.parse import urlsplit

from contract.settings import Settings
from worker_api.exposure import is_loopback, is_number


class Origins:
    """The pages of the listed origins; with none listed, those of the host that they connect to.

    Without tokens a host *name* does not count as the same: a page may have its own name resolve to our address (DNS
    rebinding), but it cannot have the name `localhost` or an address. Ports do not matter: who serves pages on another
    port of this host is not a stranger.
    """

    def __init__(self, settings: Settings) -> None:
        self._listed = frozenset(settings.origins)
        self._names_count = bool(settings.tokens)

    def may_connect(self, origin: str, host: str) -> bool:
        """Return whether a page of `origin` may connect to us, whom it called `host` (each as the header holds it)."""
        if self._listed:
            return "*" in self._listed or origin.lower() in self._listed
        theirs, ours = _host(origin), _host(f"//{host}")
        if is_loopback(theirs) and is_loopback(ours):
            return True
        return theirs != "" and theirs == ours and (self._names_count or is_number(theirs))


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
