"""What a source is: one camera address that gives pictures."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from math import inf
from typing import Protocol

from capture.pictures import Picture
from capture.sources.keyframes import Meter
from contract.settings import Settings


@dataclass(frozen=True, slots=True)
class Opening:
    """What a source is made of.

    Attributes:
        url: without credentials.
        credentials: returns "user:password" as it stands in a URL, or ""; asked at each opening, kept by nobody.
        interval_s: returns the wanted time between snapshots; may change while the source plays.
        wait: sleeps so many seconds, or less; returns True when the source shall end.
        wanted_fps: returns how many pictures a second somebody wants; may change while the source plays.
        meter: counts what comes, where the source is a stream of packets.
    """

    url: str
    settings: Settings
    credentials: Callable[[], str]
    interval_s: Callable[[], float]
    wait: Callable[[float], bool]
    wanted_fps: Callable[[], float] = lambda: inf
    meter: Meter = field(default_factory=Meter)


class Source(Protocol):
    """One camera address. `pictures()` may be called again after it ended or raised SourceLost."""

    def pictures(self) -> Generator[Picture]:
        """Connect, yield the newest pictures until the stream ends, release the connection on close.

        Yields or raises within the settings' timeouts; ends soon after `Opening.wait` returned True.

        Raises:
            SourceLost: the network, the camera or the decoder failed; calling again may work.
            SourceRefused: the camera said no, or sends what we cannot read.
        """
        ...
