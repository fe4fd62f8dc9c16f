"""HTTP cameras: one client, both ways to log in, and httpx's errors in our words."""

from __future__ import annotations

import functools
import ssl
from collections.abc import Generator, Iterator
from contextlib import contextmanager

import httpx

from capture.errors import SourceLost, SourceRefused, lost, not_allowed, unauthorized
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.guarded import Transport
from contract.problems import Code
from contract.urls import user_and_password

#: A camera's address may have moved, but not for ever.
_MAX_REDIRECTS = 3


class BasicOrDigest(httpx.Auth):
    """Logs in the way the camera asks for. Credentials go out only after it asked, and never to where it redirects."""

    def __init__(self, user: str, password: str) -> None:
        self._ways: dict[str, httpx.Auth] = {
            "digest": httpx.DigestAuth(user, password),
            "basic": httpx.BasicAuth(user, password),
        }
        self._chosen: httpx.Auth | None = None

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response]:
        """Ask without credentials once; from then on as the camera wanted it."""
        if self._chosen is None:
            response = yield request
            if response.status_code != httpx.codes.UNAUTHORIZED:
                return
            offered = response.headers.get("www-authenticate", "").lower()
            # Digest when both are offered: it does not show the password to the network.
            self._chosen = next((way for name, way in self._ways.items() if name in offered), None)
        if self._chosen is not None:
            yield from self._chosen.auth_flow(request)


@functools.cache
def _tls() -> ssl.SSLContext:
    """Return the one TLS context of the process: each costs a quarter of a second of CPU and megabytes."""
    return httpx.create_ssl_context()


def client(opening: Opening) -> httpx.Client:
    """Return a client with the camera's credentials and the settings' timeouts; it holds at most one connection."""
    credentials = opening.credentials()
    settings = opening.settings
    return httpx.Client(
        auth=BasicOrDigest(*user_and_password(credentials)) if credentials else None,
        # A proxy named in the environment has no business with a camera and its password: this transport takes none.
        transport=Transport(settings.allowed_cameras, tls=_tls(), connections=1),
        timeout=httpx.Timeout(settings.read_timeout_seconds, connect=settings.connect_timeout_seconds),
        follow_redirects=True,
        max_redirects=_MAX_REDIRECTS,
        trust_env=False,
    )


def check(response: httpx.Response) -> None:
    """Raise what the status means.

    Raises:
        SourceRefused: 401 or 403.
        SourceLost: any other that is no success.
    """
    status = response.status_code
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        raise unauthorized(status)
    if not response.is_success:
        raise SourceLost(
            Code.CAMERA_UNREACHABLE, f"the camera answers with HTTP status {status}; check the path of the URL"
        )


@contextmanager
def in_our_words(played: bool) -> Iterator[None]:
    """Turn httpx's errors into ours; `played` says whether the camera has given a picture on this connection."""
    try:
        yield
    except UrlRefused as exc:
        raise not_allowed(exc) from exc
    except (httpx.UnsupportedProtocol, httpx.InvalidURL) as exc:
        raise SourceRefused(
            Code.CAMERA_UNSUPPORTED, "the URL, or where it redirects to, is not one of http:// or https://"
        ) from exc
    except httpx.TooManyRedirects as exc:
        raise SourceLost(Code.CAMERA_UNREACHABLE, "the camera redirects in circles; check the URL") from exc
    except httpx.TimeoutException as exc:
        raise lost(played, "the camera stays silent; is it running, and is the network up?") from exc
    except httpx.RequestError as exc:
        reason = type(exc).__name__
        raise SourceLost(
            Code.CAMERA_UNREACHABLE, f"no connection to the camera ({reason}); check its address and that it runs"
        ) from exc
