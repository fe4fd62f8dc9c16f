"""Which detection is which object of the frames before: ByteTrack and BoT-SORT, without memory of their own.

ByteTrack: Y. Zhang et al., 2022 (arXiv 2110.06864). BoT-SORT: N. Aharon et al., 2022 (arXiv 2206.14651), which measures
boxes by their width instead of their aspect and takes the camera's own motion out; its re-identification by looks needs
a network of its own, which no package carries, and is left out. Numbers are those of ultralytics' trackers, and ids
come out as theirs; it is written here because theirs need torch and keep their state in objects.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from mpta import motion
from mpta.kalman import BoxFilter, Floats
from mpta.records import Image
from mpta.track_state import LOST, NEW, TRACK, TRACKED, State, Tracks, unpack

Indices = NDArray[np.intp]

#: Frames that an object is remembered without being seen.
_BUFFER = 30
#: Largest cost of a match, 1 - overlap (times confidence): of known tracks, with unsure detections, of new tracks.
_COST, _UNSURE_COST, _NEW_COST = 0.8, 0.5, 0.7
#: Two tracks that overlap more than this are one object; the one known for longer stays.
_SAME = 0.85
#: A lost state starts its ids at the tenths of a second since 1970, modulo this: above all that it gave before, as long
#: as a camera met fewer than ten objects a second, for 115 days.
_IDS = 10**8


class TrackerSettings:
    """Thresholds of ultralytics' bytetrack.yaml, lowered for a node that counts less certain detections."""

    def __init__(self, kind: Literal["bytetrack", "botsort"], min_confidence: float) -> None:
        """Fit the thresholds to the least confidence that counts."""
        self.kind = kind
        #: From here on a detection is sure enough to start a track.
        self.high = min(0.25, max(min_confidence, 0.02))
        #: Least confidence of a detection that can keep a track alive; the model must be asked for it.
        self.low = min(0.1, self.high / 2)
        self.boxes = BoxFilter(by_aspect=kind == "bytetrack")


def track(
    rows: NDArray[np.float32],
    state: bytes,
    settings: TrackerSettings,
    *,
    image: Image | None = None,
    captured_ms: int = 0,
) -> tuple[list[int | None], bytes]:
    """Return the id of each detection, None where the tracker has not confirmed it, and the state after this frame.

    Ids are unique within a chain of states and never used again; a chain that starts afresh starts above those of the
    chain before, by the clock.

    Args:
        rows: shape (n, 6): x1 y1 x2 y2 confidence class; those below `settings.low` are of no use.
        state: what the frame before returned; empty, damaged or foreign bytes start afresh.
        settings: kind and thresholds.
        image: what the rows are boxes of; `botsort` measures the camera's motion on it.
        captured_ms: Unix time of the frame.
    """
    before = unpack(state, settings.kind)
    if before is None:
        before = State(0, captured_ms // 100 % _IDS + 1, np.zeros(0, TRACK))
    tracks, scene = before.tracks, b""
    _predict(tracks, settings)
    if settings.kind == "botsort" and image is not None:
        scene = motion.scene(image, rows)
        if (warp := motion.warp(before.scene, scene)) is not None:
            _move(tracks, warp)
    frame = before.frame + 1
    tracks, seen = _follow(tracks, rows.astype(np.float64), frame, settings)
    named = np.flatnonzero((tracks["phase"] == TRACKED) & (tracks["id"] == 0))
    tracks["id"][named] = before.following + np.arange(len(named))
    ids: list[int | None] = [None] * len(rows)
    for place in np.flatnonzero((seen >= 0) & (tracks["phase"] == TRACKED)):
        ids[seen[place]] = int(tracks["id"][place])
    return ids, State(frame, before.following + len(named), tracks, scene).pack(settings.kind)


def _predict(tracks: Tracks, settings: TrackerSettings) -> None:
    """Move known tracks on by one frame. One that was not seen keeps its size."""
    lost = tracks["phase"] == LOST
    tracks["speed"][lost, 3 if settings.boxes.by_aspect else slice(2, 4)] = 0
    known = tracks["phase"] != NEW
    place, speed, spread = (tracks[name][known] for name in ("place", "speed", "spread"))
    tracks["place"][known], tracks["spread"][known] = settings.boxes.predicted(place, speed, spread)


def _move(tracks: Tracks, warp: motion.Warp) -> None:
    """Move tracks with the camera. Their uncertainty is scaled, not turned: cameras pan and shake, they hardly roll."""
    turn, scale = warp[:, :2], np.hypot(warp[0, 0], warp[1, 0])
    tracks["place"][:, :2] = tracks["place"][:, :2] @ turn.T + warp[:, 2]
    tracks["place"][:, 2:] = tracks["place"][:, 2:] @ np.abs(turn).T
    tracks["speed"][:, :2] = tracks["speed"][:, :2] @ turn.T
    tracks["speed"][:, 2:] = tracks["speed"][:, 2:] @ np.abs(turn).T
    tracks["spread"] *= scale**2


def _follow(tracks: Tracks, rows: Floats, frame: int, settings: TrackerSettings) -> tuple[Tracks, Indices]:
    """Return the tracks after a frame, and for each the row that it was seen as, or -1."""
    solid = (rows[:, 2:4] > rows[:, :2]).all(1)
    sure = np.flatnonzero(solid & (rows[:, 4] >= settings.high))
    unsure = np.flatnonzero(solid & (rows[:, 4] > settings.low) & (rows[:, 4] < settings.high))
    phase, expected = tracks["phase"], settings.boxes.corners(tracks["place"])
    seen = np.full(len(tracks), -1, np.intp)

    def match(candidates: Indices, chosen: Indices, limit: float, *, weighed: bool) -> None:
        if not len(candidates) or not len(chosen):
            return
        overlap = _overlap(expected[candidates], rows[chosen])
        columns = _assigned(1 - (overlap * rows[chosen, 4] if weighed else overlap), limit)
        seen[candidates[columns >= 0]] = chosen[columns[columns >= 0]]

    match(np.flatnonzero(phase != NEW), sure, _COST, weighed=True)
    match(np.flatnonzero((phase == TRACKED) & (seen < 0)), unsure, _UNSURE_COST, weighed=False)
    match(np.flatnonzero(phase == NEW), _left(sure, seen), _NEW_COST, weighed=True)
    _correct(tracks, seen, rows, frame, settings)
    phase[(phase == TRACKED) & (seen < 0)] = LOST
    stays = (seen >= 0) | ((phase == LOST) & (frame - tracks["last"].astype(np.int64) <= _BUFFER))
    born = _left(sure, seen)
    tracks, seen = tracks[stays], seen[stays]
    if len(born):
        tracks, seen = np.concatenate([tracks, _begun(rows[born], frame, settings)]), np.concatenate([seen, born])
    single = _single(tracks, settings)
    return tracks[single], seen[single]


def _left(chosen: Indices, seen: Indices) -> Indices:
    """Return which of the chosen rows no track was seen as."""
    taken = set(seen.tolist())
    return np.array([row for row in chosen.tolist() if row not in taken], np.intp)


def _correct(tracks: Tracks, seen: Indices, rows: Floats, frame: int, settings: TrackerSettings) -> None:
    hit = seen >= 0
    place, speed, spread = (tracks[name][hit] for name in ("place", "speed", "spread"))
    corrected = settings.boxes.corrected(place, speed, spread, settings.boxes.measured(rows[seen[hit], :4]))
    tracks["place"][hit], tracks["speed"][hit], tracks["spread"][hit] = corrected
    tracks["phase"][hit], tracks["last"][hit] = TRACKED, frame


def _begun(rows: Floats, frame: int, settings: TrackerSettings) -> Tracks:
    """Return new tracks. What the first frame of all shows is believed at once."""
    tracks = np.zeros(len(rows), TRACK)
    tracks["first"] = tracks["last"] = frame
    tracks["phase"] = TRACKED if frame == 1 else NEW
    tracks["place"] = settings.boxes.measured(rows[:, :4])
    tracks["spread"] = settings.boxes.begun(tracks["place"])
    return tracks


def _single(tracks: Tracks, settings: TrackerSettings) -> NDArray[np.bool_]:
    """Return which tracks to keep where a lost one lies on one that is there."""
    keep = np.ones(len(tracks), np.bool_)
    there, lost = np.flatnonzero(tracks["phase"] != LOST), np.flatnonzero(tracks["phase"] == LOST)
    if not len(lost):
        return keep
    boxes = settings.boxes.corners(tracks["place"])
    known_for = tracks["last"].astype(np.int64) - tracks["first"]
    for i, j in zip(*np.nonzero(_overlap(boxes[there], boxes[lost]) > _SAME), strict=True):
        keep[lost[j] if known_for[there[i]] > known_for[lost[j]] else there[i]] = False
    return keep


def _overlap(some: Floats, others: Floats) -> Floats:
    """Return the intersection over union of boxes x1 y1 x2 y2, shape (some, others)."""
    sides = np.minimum(some[:, None, 2:4], others[:, 2:4]) - np.maximum(some[:, None, :2], others[:, :2])
    shared = sides.clip(0).prod(2)
    areas, other_areas = ((boxes[:, 2:4] - boxes[:, :2]).prod(1) for boxes in (some, others))
    return np.asarray(shared / (areas[:, None] + other_areas - shared + 1e-7))


def _assigned(cost: Floats, limit: float) -> Indices:
    """Return for each row the column that it is matched with at the least cost in all, or -1."""
    import lap  # type: ignore[import-untyped]  # Here and not above: checking a package needs no solver.

    _, columns, _ = lap.lapjv(cost, extend_cost=True, cost_limit=limit)
    return np.asarray(columns, np.intp)
