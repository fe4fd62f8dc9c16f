"""Tracker state as plain bytes, so that the next frame of a camera may be run by another process.

    header  magic "MPTK" · version · kind · tracks · frame · next id · crc32 of the rest    little-endian
    track   id · first frame · last frame · state · flags · Kalman mean (8) · covariance (4 blocks of 2 x 2)

The covariance of a box tracker couples each measured number with its own speed only; all else is exactly zero.
No pickle: bytes that are damaged or foreign give a fresh state, never an error and never code.
"""

from __future__ import annotations

import functools
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mpta.safety import secure_ultralytics

#: Most tracks kept; those seen longest ago go first. Bounds the state at 27 KiB.
MAX_TRACKS = 128
_VERSION = 1
_KINDS = {"bytetrack": 1, "botsort": 2}
_HEADER = struct.Struct("<4sBBHIQI")
_TRACK = np.dtype(
    [
        ("id", "<u8"),
        ("first", "<u4"),
        ("last", "<u4"),
        ("state", "u1"),
        ("confirmed", "u1"),
        ("dropped", "u1"),
        ("mean", "<f8", (8,)),
        ("cov", "<f8", (4, 2, 2)),
    ]
)
_LOST_STATES = (2, 3)  # TrackState.Lost, TrackState.Removed


class TrackerSettings:
    """Thresholds of ultralytics' bytetrack.yaml, lowered for a node that counts less certain detections."""

    def __init__(self, kind: Literal["bytetrack", "botsort"], min_confidence: float) -> None:
        """Fit the thresholds to the least confidence that counts."""
        self.kind = kind
        high = min(0.25, max(min_confidence, 0.02))
        #: Least confidence of a detection that can keep a track alive; the model must be asked for it.
        self.low = min(0.1, high / 2)
        self.args = SimpleNamespace(
            track_high_thresh=high,
            track_low_thresh=self.low,
            new_track_thresh=high,
            track_buffer=30,
            match_thresh=0.8,
            fuse_score=True,
            gmc_method="none",
            with_reid=False,
            model="auto",
            proximity_thresh=0.5,
            appearance_thresh=0.8,
        )


@dataclass(frozen=True, slots=True)
class _Boxes:
    """What ultralytics' trackers read of a `Results.boxes`: centre x, centre y, width, height; and so on."""

    xywh: NDArray[np.float64]
    conf: NDArray[np.float64]
    cls: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.conf)

    def __getitem__(self, mask: NDArray[np.bool_]) -> _Boxes:
        return _Boxes(self.xywh[mask], self.conf[mask], self.cls[mask])


class _Ids:
    """The next track ids, as an iterator whose position can be read. Ultralytics' own counters restart at 1."""

    def __init__(self, following: int) -> None:
        self.following = following

    def __next__(self) -> int:
        self.following += 1
        return self.following - 1


def track(rows: NDArray[np.float32], state: bytes, settings: TrackerSettings) -> tuple[list[int | None], bytes]:
    """Return the id of each detection, None where the tracker has not confirmed it, and the state after this frame.

    Rows have shape (n, 6): x1 y1 x2 y2 confidence class; those below `settings.low` are of no use. `state` is what
    the frame before returned. Ids are unique within a chain of states and never used again.
    """
    tracker = _restore(state, settings)
    found = rows.astype(np.float64)
    corners, sizes = found[:, :2], found[:, 2:4] - found[:, :2]
    tracker.update(_Boxes(np.hstack([corners + sizes / 2, sizes]), found[:, 4], found[:, 5]))
    ids: list[int | None] = [None] * len(rows)
    for kept in tracker.tracked_stracks:
        # Not from what `update` returns: that is float32, where ids above 16.7 million run into each other.
        if kept.is_activated:
            ids[int(kept.idx)] = int(kept.track_id)
    return ids, _save(tracker, settings)


@functools.cache
def _classes(kind: str) -> tuple[Callable[[Any], Any], Callable[..., Any]]:
    secure_ultralytics()
    if kind == "botsort":
        from ultralytics.trackers.bot_sort import BOTSORT, BOTrack

        return BOTSORT, BOTrack
    from ultralytics.trackers.byte_tracker import BYTETracker, STrack

    return BYTETracker, STrack


def _restore(state: bytes, settings: TrackerSettings) -> Any:
    make_tracker, make_track = _classes(settings.kind)
    tracker = make_tracker(settings.args)
    frame, following, records = _unpack(state, settings.kind)
    tracker.frame_id, tracker._ids = frame, _Ids(following)
    for record in records:
        kept = make_track(np.array([0.0, 0.0, 1.0, 1.0, 0.0]), 0.0, 0)
        kept.kalman_filter = tracker.kalman_filter
        kept.track_id, kept.state = int(record["id"]), int(record["state"])
        kept.start_frame, kept.frame_id = int(record["first"]), int(record["last"])
        kept.is_activated = bool(record["confirmed"])
        kept.mean, kept.covariance = record["mean"].copy(), np.zeros((8, 8))
        for i, block in enumerate(record["cov"]):
            kept.covariance[i::4, i::4] = block
        (tracker.lost_stracks if kept.state in _LOST_STATES else tracker.tracked_stracks).append(kept)
        if record["dropped"]:
            tracker.removed_stracks.append(kept)
    return tracker


def _save(tracker: Any, settings: TrackerSettings) -> bytes:
    dropped = {kept.track_id for kept in tracker.removed_stracks}
    tracks = [*tracker.tracked_stracks, *tracker.lost_stracks]
    if len(tracks) > MAX_TRACKS:
        newest = sorted(range(len(tracks)), key=lambda i: -tracks[i].frame_id)[:MAX_TRACKS]
        tracks = [tracks[i] for i in sorted(newest)]
    records = np.zeros(len(tracks), _TRACK)
    for record, kept in zip(records, tracks, strict=True):
        record["id"], record["first"], record["last"] = kept.track_id, kept.start_frame, kept.frame_id
        record["state"], record["confirmed"], record["dropped"] = (
            kept.state,
            kept.is_activated,
            kept.track_id in dropped,
        )
        record["mean"] = kept.mean
        for i in range(4):
            record["cov"][i] = kept.covariance[i::4, i::4]
    body = records.tobytes()
    kind, following = _KINDS[settings.kind], tracker._ids.following
    head = (b"MPTK", _VERSION, kind, len(tracks), tracker.frame_id, following)
    return _HEADER.pack(*head, _checksum(_HEADER.pack(*head, 0) + body)) + body


def _unpack(state: bytes, kind: str) -> tuple[int, int, Any]:
    """Return frame number, next id and track records; those of a fresh state unless all of it is sound."""
    fresh = 0, 1, np.zeros(0, _TRACK)
    if len(state) < _HEADER.size:
        return fresh
    magic, version, code, count, frame, following, checksum = _HEADER.unpack_from(state)
    body = state[_HEADER.size :]
    if (magic, version, code) != (b"MPTK", _VERSION, _KINDS[kind]) or count > MAX_TRACKS:
        return fresh
    if len(body) != count * _TRACK.itemsize or frame >= 2**32 - 1:
        return fresh
    if checksum != _checksum(_HEADER.pack(magic, version, code, count, frame, following, 0) + body):
        return fresh
    return frame, following, np.frombuffer(body, _TRACK)


def _checksum(content: bytes) -> int:
    return zlib.crc32(content)
