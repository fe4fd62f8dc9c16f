"""The gateway's certificate: checked at start, read again when its files change."""

from __future__ import annotations

import logging
import ssl
from pathlib import Path
from typing import NoReturn

from contract.errors import DetectorError, SettingsInvalid

log = logging.getLogger(__name__)


class _Encrypted(DetectorError):
    """The key wants a password."""


class Certificate:
    """A certificate with its key, and the TLS context that shows it to clients.

    Attributes:
        context: TLS 1.2 or newer; the same object for as long as the gateway runs.
    """

    def __init__(self, certificate: Path, key: Path) -> None:
        """Load both files.

        Raises:
            SettingsInvalid: they cannot be used; one line that names the setting.
        """
        self._certificate, self._key = certificate, key
        self._version = self._stamp()
        self.context = self._loaded()

    def refresh(self) -> None:
        """Show the files' new content to whoever connects from now on; content that cannot be used is left alone."""
        stamp = self._stamp()
        if stamp == self._version:
            return
        self._version = stamp
        try:
            # First elsewhere: a context that took a new certificate and not its key could serve nobody.
            self._loaded()
            self.context.load_cert_chain(self._certificate, self._key, _no_password)
        except (DetectorError, OSError) as exc:
            log.error("the new certificate is not used, the old one serves on: %s", exc)
        else:
            log.info("the certificate has been read again")

    def _loaded(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        for variable, path in (("CERT", self._certificate), ("KEY", self._key)):
            try:
                path.read_bytes()
            except OSError as exc:
                raise SettingsInvalid(f"DETECTOR_TLS_{variable}: {path.name} cannot be read ({exc.strerror})") from exc
        try:
            context.load_cert_chain(self._certificate, self._key, _no_password)
        except _Encrypted:
            raise SettingsInvalid(f"DETECTOR_TLS_KEY: {self._key.name} has a password; give it one without") from None
        except ssl.SSLError as exc:
            reason = exc.reason.replace("_", " ").lower() if exc.reason else "no certificate and key in PEM form"
            names = f"{self._certificate.name}, {self._key.name}"
            raise SettingsInvalid(f"DETECTOR_TLS_CERT, DETECTOR_TLS_KEY: {names} cannot be used ({reason})") from exc
        return context

    def _stamp(self) -> tuple[tuple[int, int, int] | None, ...]:
        """Return what changes when a file does: rewritten, or another one in its place."""
        return tuple(_stamp(path) for path in (self._certificate, self._key))


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _no_password() -> NoReturn:
    """Be asked for the key's password; OpenSSL would else ask whoever sits at the terminal."""
    raise _Encrypted
