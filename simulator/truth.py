"""The record of what each emitted frame showed: in memory for five minutes, and in a file if wanted.

One JSON object per frame:

    {"at_ms": Unix ms when handed to the network, "frame": number, "vehicles": [{track, kind, body, brand, colour,
     plate, box, plate_box, plate_quad, standing, visibility}]}   boxes: [x1, y1, x2, y2] pixels of the frame

The file is `{camera}.jsonl`; at `_FILE_BYTES` it becomes `{camera}.jsonl.1`, replacing the one before.
"""

from __future__ import annotations

import bisect
import json
import threading
from collections import deque
from dataclasses import asdict
from pathlib import Path
from typing import Any, TextIO

from simulator.scene import Truth

KEPT_S = 300
_FILE_BYTES = 16_000_000

Record = dict[str, Any]


class TruthLog:
    """The last `KEPT_S` seconds of one camera's truth. May be asked from any thread."""

    def __init__(self, fps: int, file: Path | None) -> None:
        """Store.

        Args:
            fps: frames per second, which bounds the memory.
            file: JSONL file to append to, or None.
        """
        self.file = file
        self._open: TextIO | None = None
        self._lock = threading.Lock()
        self._kept: deque[tuple[int, int, Truth]] = deque(maxlen=fps * KEPT_S)

    def record(self, frame: int, at_ms: int, truth: Truth) -> None:
        """Add one emitted frame; `at_ms` must not be below the one before."""
        with self._lock:
            self._kept.append((at_ms, frame, truth))
        if self.file:
            self._write(self.file, json.dumps(_record(at_ms, frame, truth), separators=(",", ":")))

    def at(self, at_ms: int | None = None) -> Record | None:
        """Return the record of the newest frame at or before `at_ms` (None: the newest), or None if there is none."""
        with self._lock:
            kept = list(self._kept)
        index = len(kept) if at_ms is None else bisect.bisect_right(kept, at_ms, key=lambda entry: entry[0])
        return _record(*kept[index - 1]) if index else None

    def close(self) -> None:
        """Close the file."""
        if self._open:
            self._open.close()
            self._open = None

    def _write(self, file: Path, line: str) -> None:
        if self._open and self._open.tell() > _FILE_BYTES:
            self.close()
            file.replace(file.with_suffix(".jsonl.1"))
        if not self._open:
            file.parent.mkdir(parents=True, exist_ok=True)
            # Line by line, so that a reader beside us never sees half a record for long.
            self._open = file.open("a", buffering=1, encoding="utf-8")
        self._open.write(line + "\n")


def _record(at_ms: int, frame: int, truth: Truth) -> Record:
    return {"at_ms": at_ms, "frame": frame, "vehicles": [asdict(vehicle) for vehicle in truth]}
