"""RTSP cameras, and whatever else plays that FFmpeg can open by network: decoded continuously, so never stale."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from urllib.parse import urlsplit

from av.container import InputContainer

from capture.errors import SourceLost, SourceRefused, not_allowed
from capture.pictures import Decoded
from capture.sources.decoding import decoded, open_container, paced
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.problems import Code
from contract.urls import join_credentials

_RTSP_OPTIONS = {
    # Over UDP a lost packet is a smeared picture, and most firewalls drop it.
    "rtsp_transport": "tcp",
    # The camera's sound would be sent only to be thrown away.
    "allowed_media_types": "video",
    # FFmpeg would watch for most of a second to learn the frame rate, which we do not ask for: 0.3 s instead of 1.1 s.
    "fpsprobesize": "0",
}

#: What a stream of each scheme may open in turn: a playlist must not be able to name a local file.
_PROTOCOLS = {
    "rtsp": "rtsp,rtp,tcp,udp,srtp",
    "rtsps": "rtsps,rtsp,rtp,tcp,udp,tls,srtp",
    "http": "http,https,tcp,tls,crypto,httpproxy",
    "https": "http,https,tcp,tls,crypto,httpproxy",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,rtmp,tcp,tls",
}


class Stream:
    """A stream that PyAV opens by its URL."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._scheme = urlsplit(opening.url).scheme.lower()

    def pictures(self) -> Generator[Decoded]:
        """Yield every frame that the camera sends, each as soon as it is decoded."""
        with closing(self._open()) as container:
            # A recording behind a plain web server comes as fast as it is read; a camera has no duration.
            recording = self._scheme.startswith("http") and container.duration is not None
            frames = paced(container, self._opening.wait) if recording else decoded(container)
            for arrived_ms, frame in frames:
                yield Decoded(arrived_ms, frame)

    def _open(self) -> InputContainer:
        scheme = self._scheme
        if scheme not in _PROTOCOLS:
            known = ", ".join(f"{name}://" for name in _PROTOCOLS)
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"no camera is read by {scheme}://; use one of {known}")
        self._check_host()
        options = {"protocol_whitelist": _PROTOCOLS[scheme]} | (_RTSP_OPTIONS if scheme.startswith("rtsp") else {})
        settings = self._opening.settings
        return open_container(
            join_credentials(self._opening.url, self._opening.credentials()),
            options,
            connect_s=settings.connect_timeout_seconds,
            # Half: after the first silence FFmpeg hands over what its parser held back, and we read on (measured).
            read_s=settings.read_timeout_seconds / 2,
        )

    def _check_host(self) -> None:
        """Look where the name leads now; FFmpeg looks again by itself a moment later."""
        parts = urlsplit(self._opening.url)
        try:
            self._opening.settings.allowed_cameras.resolve(parts.hostname or "", parts.port or 0)
        except UrlRefused as exc:
            raise not_allowed(exc) from exc
        except OSError as exc:
            text = f"the camera's host has no address ({exc.strerror}); check the URL, and the network's name server"
            raise SourceLost(Code.CAMERA_UNREACHABLE, text) from exc
