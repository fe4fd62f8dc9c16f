"""Addresses without their secrets: what may be stored, hashed, logged and sent on.

Credentials leave a URL at the door (`split_credentials`), are stored apart, and are joined again only where a
connection is opened (`join_credentials`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from contract.errors import UrlRefused

_USERINFO = re.compile(r"(?i)\b([a-z][a-z0-9+.-]*://)[^/\s'\"]*@")


def redact(text: str) -> str:
    """Return `text` with the user part of every URL in it replaced by `***`."""
    return _USERINFO.sub(r"\1***@", text)


def split_credentials(url: str) -> tuple[str, str]:
    """Return (url without its user part, "user:password" or ""), both as they were spelled in `url`.

    Raises:
        UrlRefused: `url` cannot be parsed.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as exc:
        raise UrlRefused("the URL cannot be parsed; expected something like rtsp://host:554/path") from exc
    if parts.scheme == "synthetic":
        # Before its `@` a test pattern has its size, not somebody's password.
        return url, ""
    user, at, host = parts.netloc.rpartition("@")
    return (urlunsplit(parts._replace(netloc=host)), user) if at else (url, "")


def join_credentials(url: str, credentials: str) -> str:
    """Return `url` with "user:password" put before its host; `url` itself when there are none."""
    if not credentials:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=f"{credentials}@{parts.netloc}"))


def user_and_password(credentials: str) -> tuple[str, str]:
    """Return the decoded user name and password of a "user:password" as it stands in a URL."""
    user, _, password = credentials.partition(":")
    return unquote(user), unquote(password)


def credentials_of(user: str, password: str) -> str:
    """Return "user:password" encoded so that it may stand in a URL."""
    return f"{quote(user, safe='')}:{quote(password, safe='')}"


def local_path(url: str, allowed: Sequence[Path]) -> Path | None:
    """Return the file that a `file://` URL or plain path names, or None when `url` has another scheme.

    A relative path is looked up below each of `allowed` in turn, then below the working directory.

    Raises:
        UrlRefused: no file can be called so, or it is not below one of `allowed` (links are resolved first).
    """
    scheme, sep, rest = url.partition("://")
    if sep and scheme.lower() != "file":
        return None
    path = Path(unquote(rest.removeprefix("localhost"))) if sep else Path(url)
    candidates = [path] if path.is_absolute() else [*(folder / path for folder in allowed), path]
    try:
        inside = [c for c in candidates if any(c.resolve().is_relative_to(folder.resolve()) for folder in allowed)]
        if inside:
            return next((c for c in inside if c.exists()), inside[0])
    except (OSError, ValueError) as exc:
        raise UrlRefused("the path is none that a file could have") from exc
    raise UrlRefused("the path lies outside the directories that the operator allowed for it")
