"""Cameras of the machine itself: `webcam://0`. Off unless the operator's setting says otherwise."""

from __future__ import annotations

import re
import sys
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from capture.errors import SourceLost, SourceRefused
from capture.pictures import Decoded
from capture.sources.decoding import decoded, open_container
from capture.sources.source import Opening
from contract.problems import Code


class Devices(NamedTuple):
    """How one platform calls its webcams: FFmpeg's kind, the device of a name, and what a name may be."""

    kind: str
    device: str
    name: str


DEVICES = {
    "linux": Devices("v4l2", "/dev/video{}", r"\d{1,2}"),
    "darwin": Devices("avfoundation", "{}", r"\d{1,2}"),
    "win32": Devices("dshow", "video={}", r"[^:/\\]+"),
}


class Webcam:
    """A camera that is plugged in here."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening

    def pictures(self) -> Generator[Decoded]:
        """Yield every frame as soon as it is decoded."""
        kind, device = self._device()
        settings = self._opening.settings
        with closing(
            open_container(
                device,
                {},
                device=kind,
                connect_s=settings.connect_timeout_seconds,
                read_s=settings.read_timeout_seconds,
            )
        ) as container:
            for arrived_ms, frame in decoded(container, self._opening.meter):
                yield Decoded(arrived_ms, frame)

    def _device(self) -> tuple[str, str]:
        """Return FFmpeg's kind of device and its name there."""
        if not self._opening.settings.webcams:
            text = "webcams of this machine are not read; the operator's setting is DETECTOR_WEBCAMS"
            raise SourceRefused(Code.URL_NOT_ALLOWED, text)
        devices, name = DEVICES.get(sys.platform), self._opening.url.partition("://")[2].rstrip("/")
        if devices is None:
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, f"webcams cannot be read on {sys.platform}; use its stream")
        if not re.fullmatch(devices.name, name):
            raise SourceRefused(Code.CAMERA_UNSUPPORTED, "a webcam is named like webcam://0: the first of this machine")
        device = devices.device.format(name)
        if device.startswith("/") and not Path(device).exists():
            text = f"this machine has no webcam {name}; plug one in, and hand {device} to the container if there is one"
            raise SourceLost(Code.CAMERA_UNREACHABLE, text)
        return devices.kind, device
