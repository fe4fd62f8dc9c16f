"""One download of a package: asked conditionally, resumed where it broke off, capped, and over when its time is."""

from __future__ import annotations

import functools
import hashlib
import logging
import os
import random
import re
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import httpx

from contract.addresses import Allowed
from contract.errors import DetectorError, UrlRefused
from contract.guarded import Transport
from tasks.store import Known

log = logging.getLogger(__name__)

#: A server may be silent for so long before it counts as gone.
_SILENCE_S = 10.0
_REDIRECTS = 5
#: A transfer that breaks off is taken up again so often, while each attempt brings something.
_RESUMES = 5
PROGRESS_S = 5.0
_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/")


class PackageUnavailable(DetectorError):
    """The package cannot be had now; trying again later may work. The message is fit for a CMS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Download:
    """What to get, and its limits.

    Attributes:
        url: with its credentials.
        name: what logs call it.
        part: where the body is written; what an earlier download left there is taken up again.
        known: what this address gave last, when that is still here.
        allowed: the hosts that the address and its redirects may have.
        progress_s: a line is logged this often.
    """

    url: str
    name: str
    part: Path
    known: Known | None
    allowed: Allowed
    max_mb: int
    within_s: float
    progress_s: float = PROGRESS_S

    def run(self) -> Known | None:
        """Return what came, complete and flushed in `part`; None when the address still gives what is known.

        Raises:
            PackageUnavailable: no answer, an HTTP error, too large, too slow, broken off.
            OSError: the disk is full, or does not let us write.
        """
        resumes = 0
        with _Deadline(self.within_s) as deadline:
            while True:
                before = _size(self.part)
                try:
                    return self._ask(deadline)
                except UrlRefused as exc:
                    raise PackageUnavailable(f"model package not allowed: {exc}") from exc
                except (httpx.HTTPError, httpx.InvalidURL) as exc:
                    deadline.check()
                    resumes += 1
                    if resumes > _RESUMES or not _Beginning(self.part).resumable or _size(self.part) <= before:
                        raise PackageUnavailable(_reason(exc)) from exc
                    log.info("model package %s: the download broke off at %.1f MB", self.name, _mb(_size(self.part)))
                    deadline.wait(random.uniform(0.2, 1.0))

    def _ask(self, deadline: _Deadline) -> Known | None:
        beginning = _Beginning(self.part)
        headers = _conditions(self.known) | beginning.headers()
        client = httpx.Client(
            transport=Transport(self.allowed, tls=_tls(), connections=_REDIRECTS + 1),
            timeout=_SILENCE_S,
            follow_redirects=True,
            max_redirects=_REDIRECTS,
            headers=headers,
        )
        with client, client.stream("GET", self.url, extensions={"trace": deadline.trace}) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and self.known is not None:
                return None
            if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE:
                beginning.drop()
            if not response.is_success:
                reason = f"{response.status_code} {response.reason_phrase}".strip()
                raise PackageUnavailable(f"the model server answered {reason}")
            return self._save(response, beginning, deadline)

    def _save(self, response: httpx.Response, beginning: _Beginning, deadline: _Deadline) -> Known:
        digest = hashlib.sha256()
        with beginning.open(response, digest) as out:
            size = out.tell()
            total = size + int(response.headers.get("content-length", 0))
            self._check(total)
            progress = _Progress(self.name, total, size, self.progress_s)
            for chunk in response.iter_bytes():
                size += len(chunk)
                self._check(size)
                digest.update(chunk)
                out.write(chunk)
                progress.at(size)
            deadline.check()  # A body without a length ends where its connection does, also one that was cut.
            out.flush()
            os.fsync(out.fileno())
        beginning.forget()
        return Known(
            content=digest.hexdigest(),
            etag=response.headers.get("etag", ""),
            modified=response.headers.get("last-modified", ""),
        )

    def _check(self, size: int) -> None:
        if size > self.max_mb * 1_000_000:
            self.part.unlink(missing_ok=True)
            raise PackageUnavailable(f"the model package is larger than {self.max_mb} MB")


class _Beginning:
    """What an earlier attempt left of a body, and the strong validator that says which version it belongs to."""

    def __init__(self, part: Path) -> None:
        self._part, self._validator = part, part.with_suffix(".etag")
        self._etag = self._validator.read_text() if part.exists() and self._validator.exists() else ""

    @property
    def resumable(self) -> bool:
        """Whether only the rest need be asked for."""
        return bool(self._etag)

    def headers(self) -> dict[str, str]:
        """Return what asks for the rest, if that version is still the one there; else for all."""
        return {"Range": f"bytes={_size(self._part)}-", "If-Range": self._etag} if self.resumable else {}

    def open(self, response: httpx.Response, digest: hashlib._Hash) -> BinaryIO:
        """Return the file to write the body to: behind the beginning, which is hashed, when this is the rest of it."""
        match = _CONTENT_RANGE.match(response.headers.get("content-range", ""))
        if response.status_code == httpx.codes.PARTIAL_CONTENT:
            if match is None or int(match[1]) != _size(self._part) or response.headers.get("etag") != self._etag:
                self.drop()
                raise PackageUnavailable("the model server answered with a part that was not asked for")
            out = self._part.open("r+b")
            while chunk := out.read(1 << 20):
                digest.update(chunk)
            return out
        etag = response.headers.get("etag", "")
        self.drop()
        out = self._part.open("w+b")
        # A weak validator says "as good as the same", and one of a compressed body is of other bytes.
        if etag.startswith('"') and "content-encoding" not in response.headers:
            self._validator.write_text(etag)
        return out

    def drop(self) -> None:
        """Forget the beginning: the next attempt asks for all."""
        self._part.unlink(missing_ok=True)
        self.forget()

    def forget(self) -> None:
        """The body is complete: nothing is left to ask for."""
        self._validator.unlink(missing_ok=True)
        self._etag = ""


class _Deadline:
    """Cuts all connections of a download when its time is over: a server that drips would hold a read for ever."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._over = seconds, threading.Event()
        self._sockets: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Deadline:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def check(self) -> None:
        """Raise `PackageUnavailable` when the time is over."""
        if self._over.is_set():
            raise PackageUnavailable(f"fetching took longer than {self._seconds:g} s")

    def wait(self, seconds: float) -> None:
        """Wait, or until the time is over."""
        self._over.wait(seconds)

    def trace(self, event: str, details: Mapping[str, Any]) -> None:
        """Note each connection; httpx calls this."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            self._sockets.append(details["return_value"].get_extra_info("socket"))
            if self._over.is_set():
                self._cut()

    def _cut(self) -> None:
        self._over.set()
        for each in self._sockets:
            with suppress(OSError):
                socket.socket.shutdown(each, socket.SHUT_RDWR)  # Not that of SSL sockets, which takes them apart.


@dataclass(slots=True)
class _Progress:
    """Says in the log how far a download is."""

    name: str
    total: int
    start: int
    every_s: float
    began_s: float = field(default_factory=time.monotonic)
    said_s: float = field(default_factory=time.monotonic)

    def at(self, size: int) -> None:
        """Note that so many bytes are here."""
        now = time.monotonic()
        if now - self.said_s < self.every_s:
            return
        self.said_s = now
        whole = f"{_mb(self.total):.1f}" if self.total > self.start else "?"
        rate = _mb(size - self.start) / (now - self.began_s)
        log.info("model package %s: %.1f of %s MB, %.1f MB/s", self.name, _mb(size), whole, rate)


@functools.cache
def _tls() -> ssl.SSLContext:
    return httpx.create_ssl_context(trust_env=False)


def _conditions(known: Known | None) -> dict[str, str]:
    """Return the headers of a conditional request for the bytes as they are."""
    headers = {"Accept-Encoding": "identity"}
    if known is not None and known.etag:
        headers["If-None-Match"] = known.etag
    elif known is not None and known.modified:
        headers["If-Modified-Since"] = known.modified
    return headers


def _reason(exc: Exception) -> str:
    if isinstance(exc, httpx.TooManyRedirects):
        return f"the model server redirected more than {_REDIRECTS} times"
    return f"the model server did not answer ({type(exc).__name__}); is the URL right?"


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _mb(size: int) -> float:
    return size / 1e6
