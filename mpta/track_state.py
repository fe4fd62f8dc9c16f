"""Tracker state as plain bytes, so that the next frame of a camera may be run by another process.

    header  magic "MPTK" · version · kind · tracks · frame · next id · crc32 of the rest    little-endian
    track   id · first frame · last frame · phase · place (4) · speed (4) · spread (3 x 4)
    scene   what camera motion is measured against, to the end; see `mpta.motion`

No pickle: bytes that are damaged or foreign give no state, never an error and never code.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

#: Most tracks kept; those seen longest ago go first. Bounds the state at 30 KiB, with a scene.
MAX_TRACKS = 128
#: `phase` of a track: seen once, seen in the last frame, not seen in the last frame.
NEW, TRACKED, LOST = range(3)
#: `id` is 0 while the track is new. `place`, `speed`, `spread`: see `mpta.kalman`.
TRACK = np.dtype(
    [
        ("id", "<u8"),
        ("first", "<u4"),
        ("last", "<u4"),
        ("phase", "u1"),
        ("place", "<f8", (4,)),
        ("speed", "<f8", (4,)),
        ("spread", "<f8", (3, 4)),
    ]
)
Tracks = NDArray[np.void]

_VERSION = 2
_KINDS = {"bytetrack": 1, "botsort": 2}
_HEADER = struct.Struct("<4sBBHIQI")


@dataclass(frozen=True, slots=True, eq=False)
class State:
    """A tracker between two frames.

    Attributes:
        frame: how many frames it has seen.
        following: the next id.
    """

    frame: int
    following: int
    tracks: Tracks
    scene: bytes = b""

    def pack(self, kind: str) -> bytes:
        """Return it as bytes, with the MAX_TRACKS tracks that were seen last."""
        newest = np.sort(np.argsort(-self.tracks["last"].astype(np.int64), kind="stable")[:MAX_TRACKS])
        body = self.tracks[newest].tobytes() + self.scene
        head = b"MPTK", _VERSION, _KINDS[kind], len(newest), self.frame, self.following
        return _HEADER.pack(*head, zlib.crc32(_HEADER.pack(*head, 0) + body)) + body


def unpack(content: bytes, kind: str) -> State | None:
    """Return the state, or None unless all of it is sound and of this kind of tracker."""
    if len(content) < _HEADER.size:
        return None
    *head, checksum = _HEADER.unpack_from(content)
    magic, version, code, count, frame, following = head
    body = content[_HEADER.size :]
    if (magic, version, code) != (b"MPTK", _VERSION, _KINDS[kind]) or frame >= 2**32 - 1:
        return None
    if checksum != zlib.crc32(_HEADER.pack(*head, 0) + body) or len(body) < count * TRACK.itemsize:
        return None
    tracks = np.frombuffer(body, TRACK, count).copy()
    return State(frame, following, tracks, body[count * TRACK.itemsize :])
