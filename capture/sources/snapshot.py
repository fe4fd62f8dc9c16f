"""Snapshot cameras: one picture fetched again and again over a connection that is kept."""

from __future__ import annotations

import time
from collections.abc import Generator

import httpx

from capture.errors import SourceRefused, lost
from capture.pictures import MAX_PICTURE_BYTES, Encoded, jpeg_size
from capture.sources import http
from capture.sources.source import Opening
from contract.nodes import now_ms
from contract.problems import Code

#: Read timeouts in which a whole picture must have come.
_PATIENCE = 2
#: A wait is looked at anew this often, since the wanted interval may have become shorter.
_LONGEST_NAP_S = 0.5
#: What a kept connection does when the camera had closed it meanwhile: ask once more, on a new one.
_GONE_STALE = (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError)


class Snapshot:
    """A JPEG picture at an `http(s)://` URL; its bytes pass through untouched."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._last, self._tag = b"", ""

    def pictures(self) -> Generator[Encoded]:
        """Yield the picture every interval; one that the camera calls the same, or that is, is marked as unchanged."""
        played = False
        with http.client(self._opening) as client:
            while True:
                began_s = time.monotonic()
                with http.in_our_words(played):
                    jpeg = self._fetch(client, again=played)
                unchanged, self._last, played = jpeg == self._last, jpeg, True
                yield Encoded(now_ms(), jpeg, unchanged)
                if self._slept_until_due(began_s):
                    return

    def _fetch(self, client: httpx.Client, *, again: bool) -> bytes:
        try:
            jpeg = self._get(client, again)
        except _GONE_STALE:
            if not again:
                raise
            jpeg = self._get(client, again)
        try:
            jpeg_size(jpeg)
        except ValueError as exc:
            raise SourceRefused(
                Code.CAMERA_UNSUPPORTED, f"what the snapshot URL gives is {exc}; name one that gives a JPEG picture"
            ) from exc
        return jpeg

    def _get(self, client: httpx.Client, again: bool) -> bytes:
        body = bytearray()
        headers = {"If-None-Match": self._tag} if self._tag else {}
        # The timeouts of the client are for each read: a camera that dribbles would hold us for ever.
        until_s = time.monotonic() + _PATIENCE * self._opening.settings.read_timeout_seconds
        with client.stream("GET", self._opening.url, headers=headers) as response:
            if response.status_code == httpx.codes.NOT_MODIFIED and headers:
                return self._last
            http.check(response)
            for chunk in response.iter_bytes():
                body += chunk
                if time.monotonic() > until_s:
                    raise lost(again, "the camera takes too long to send its picture; choose a smaller one")
                if len(body) > MAX_PICTURE_BYTES:
                    raise SourceRefused(
                        Code.CAMERA_UNSUPPORTED,
                        "the snapshot URL gives more than a picture; subscribe to it as rtspUrl",
                    )
        self._tag = response.headers.get("etag", "")
        return bytes(body)

    def _slept_until_due(self, began_s: float) -> bool:
        """Wait for the next fetch, counted from the last one's beginning; return whether the source shall end."""
        while True:
            left_s = began_s + self._opening.interval_s() - time.monotonic()
            if self._opening.wait(min(max(left_s, 0.0), _LONGEST_NAP_S)):
                return True
            if left_s <= _LONGEST_NAP_S:
                return False
