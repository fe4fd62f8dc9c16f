"""RTSP cameras, and whatever else plays that FFmpeg can open by network: decoded continuously, so never stale."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Literal
from urllib.parse import urlsplit

from av.container import InputContainer
from pydantic import Field

from capture.errors import SourceLost, SourceRefused, not_allowed
from capture.pictures import Decoded, Encoded, Picture
from capture.rate import longest_gap_s
from capture.sources.decoding import MJPEG, decoded, open_container, paced, passed_through
from capture.sources.options import Options, split_options
from capture.sources.source import Opening
from contract.errors import UrlRefused
from contract.problems import Code
from contract.urls import join_credentials

_RTSP_OPTIONS = {
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


class RtspOptions(Options):
    """Options of an RTSP address. Over UDP a lost packet is a smeared picture, and most firewalls drop it."""

    transport: Literal["tcp", "udp"] = Field("tcp", description="tcp or udp")


class Stream:
    """A stream that PyAV opens by its URL."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._scheme = urlsplit(opening.url).scheme.lower()

    def pictures(self) -> Generator[Picture]:
        """Yield the frames that the camera sends, each as soon as it is decoded; JPEG pictures as they are."""
        opening = self._opening
        with closing(self._open()) as container:
            if self._is_rtsp and container.streams.video[0].codec_context.name == MJPEG:
                for arrived_ms, jpeg in passed_through(container, opening.meter):
                    yield Encoded(arrived_ms, jpeg)
                return
            frames = decoded(container, opening.meter, lambda: longest_gap_s(opening.wanted_fps()))
            for arrived_ms, frame in paced(frames, opening.wait) if self._is_recording(container) else frames:
                yield Decoded(arrived_ms, frame)

    @property
    def _is_rtsp(self) -> bool:
        return self._scheme.startswith("rtsp")

    def _is_recording(self, container: InputContainer) -> bool:
        """Say whether it lies behind a plain web server and comes as fast as it is read: a camera has no end."""
        if not self._scheme.startswith("http"):
            return False
        # The size of a playlist says nothing of what it lists.
        return container.duration is not None or (container.size > 0 and container.format.name != "hls")

    def _open(self) -> InputContainer:
        scheme, opening = self._scheme, self._opening
        if scheme not in _PROTOCOLS:
            known = ", ".join(f"{name}://" for name in _PROTOCOLS)
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"no camera is read by {scheme}://; use one of {known}")
        self._check_host()
        url, options = opening.url, {"protocol_whitelist": _PROTOCOLS[scheme]}
        if self._is_rtsp:
            url, chosen = split_options(url, RtspOptions)
            opening.meter.transport = chosen.transport
            options |= _RTSP_OPTIONS | {"rtsp_transport": chosen.transport}
        return open_container(
            join_credentials(url, opening.credentials()),
            options,
            connect_s=opening.settings.connect_timeout_seconds,
            # Half: after the first silence FFmpeg hands over what its parser held back, and we read on (measured).
            read_s=opening.settings.read_timeout_seconds / 2,
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
