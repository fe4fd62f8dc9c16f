"""Bearer tokens: how one is made, kept as a hash, offered by a client, and recognised."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable

#: For programs that look for secrets in what people publish.
_PREFIX = "det_"
_BYTES = 32
#: What the CMS protocol is called where a WebSocket client names what it speaks, and what our answer names.
SUBPROTOCOL = "detector"
#: A browser cannot set headers: it offers the protocols `detector` and `bearer.TOKEN`.
_OFFERED = "bearer."


def new() -> str:
    """Return a token with 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(_BYTES)


def entry(name: str, token: str) -> str:
    """Return what stands for `token` in the setting: "name:sha256".

    A slow hash is for what people choose; nobody finds 256 random bits by trying, so SHA-256, which costs a
    microsecond per request, keeps them as safe.
    """
    return f"{name}:{_hashed(token)}"


class Tokens:
    """The tokens that may enter; none at all: everybody may."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._hashes = [tuple(each.rsplit(":", 1)) for each in entries]

    def __bool__(self) -> bool:
        """Whether anybody needs one."""
        return bool(self._hashes)

    def name_of(self, token: str) -> str | None:
        """Return what the token is called, or None when it is none of ours; takes as long for any."""
        found, hashed = None, _hashed(token)
        for name, known in self._hashes:
            if hmac.compare_digest(hashed, known):
                found = name
        return found


def offered(authorization: str, subprotocols: Iterable[str]) -> str:
    """Return the token that a client offers in its Authorization header or among its subprotocols, or ""."""
    scheme, _, token = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return token.strip()
    return next((each.removeprefix(_OFFERED) for each in subprotocols if each.startswith(_OFFERED)), "")


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogateescape")).hexdigest()
