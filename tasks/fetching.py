"""Bringing a package here: a file below the allowed directories, or a download with a cap, a deadline and a cache."""

from __future__ import annotations

import hashlib
import logging
import time
from pathlib import Path

import httpx
from filelock import FileLock, Timeout

from contract.errors import DetectorError, UrlRefused
from contract.settings import Settings
from contract.urls import join_credentials, local_path, split_credentials

log = logging.getLogger(__name__)

_CONNECT_S = 10.0


class PackageUnavailable(DetectorError):
    """The package cannot be had now; trying again later may work. The message is fit for a CMS."""


def fetch(url: str, settings: Settings) -> Path:
    """Return a local file with the package at `url`.

    A download is kept below `data_dir` and asked for again with If-None-Match; while its server is away, the kept one
    serves on.

    Raises:
        PackageUnavailable: no such file, no answer, an HTTP error, too large, too slow.
    """
    try:
        path = local_path(url, settings.model_dirs)
    except UrlRefused as exc:
        raise PackageUnavailable(f"model package not allowed: {exc}") from exc
    if path is None:
        return _download(url, settings)
    if not path.exists():
        raise PackageUnavailable(f"there is no model package {path.name!r} below the model directories")
    return path


def _download(url: str, settings: Settings) -> Path:
    cache = settings.data_dir / "packages"
    cache.mkdir(parents=True, exist_ok=True)
    kept = cache / f"{hashlib.sha256(url.encode()).hexdigest()[:32]}.mpta"
    try:
        with FileLock(kept.with_suffix(".lock"), timeout=settings.model_fetch_seconds):
            _refresh(url, kept, settings)
    except PackageUnavailable as exc:
        if not kept.exists():
            raise
        log.warning("a model package was not given by its server (%s); the kept copy serves on", exc)
    except Timeout as exc:
        raise PackageUnavailable("another worker is still fetching the model package") from exc
    return kept


def _refresh(url: str, kept: Path, settings: Settings) -> None:
    tag = kept.with_suffix(".etag")
    headers = {"If-None-Match": tag.read_text()} if kept.exists() and tag.exists() else {}
    bare, credentials = split_credentials(url)
    try:
        with httpx.stream(
            "GET",
            join_credentials(bare, credentials),
            headers=headers,
            timeout=httpx.Timeout(_CONNECT_S),
            follow_redirects=True,
            trust_env=False,
        ) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED:
                return
            if not response.is_success:
                raise PackageUnavailable(f"the model server answered {response.status_code} {response.reason_phrase}")
            _save(response, kept, settings)
            tag.write_text(response.headers.get("etag", ""))
    except (httpx.HTTPError, httpx.InvalidURL) as exc:
        raise PackageUnavailable(f"the model server did not answer ({type(exc).__name__}); is the URL right?") from exc


def _save(response: httpx.Response, kept: Path, settings: Settings) -> None:
    """Write the body beside `kept`, then put it in its place: no reader sees half a package."""
    limit, deadline = settings.model_max_mb * 1_000_000, time.monotonic() + settings.model_fetch_seconds
    part = kept.with_suffix(".part")
    size = 0
    try:
        with part.open("wb") as out:
            for chunk in response.iter_bytes():
                size += len(chunk)
                if size > limit:
                    raise PackageUnavailable(f"the model package is larger than {settings.model_max_mb} MB")
                if time.monotonic() > deadline:
                    raise PackageUnavailable(f"fetching took longer than {settings.model_fetch_seconds:g} s")
                out.write(chunk)
        part.replace(kept)
    finally:
        part.unlink(missing_ok=True)
