"""A conversation in a file: one JSON object per line, with `at` (s since its beginning), `from` and `message`."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Literal

from cli.cms.line import Message
from contract.errors import DetectorError

Side = Literal["cms", "gateway"]


class RecordingFailed(DetectorError):
    """A file that cannot be written, or is no conversation."""


@dataclass(frozen=True, slots=True)
class Said:
    """One message of a conversation."""

    at_s: float
    side: Side
    message: Message


class Recorder:
    """Writes what both sides say, as they say it. Thread-safe."""

    def __init__(self, path: Path) -> None:
        try:
            # For its owner alone: a camera's address may hold a password.
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError as exc:
            raise RecordingFailed(f"{path.name} cannot be written: {exc.strerror}") from None
        self._file = os.fdopen(descriptor, "w", encoding="utf-8")
        self._began_s = time.monotonic()
        self._lock = Lock()

    def note(self, side: Side, message: Mapping[str, Any]) -> None:
        """Write one message down."""
        with self._lock:
            at_s = round(time.monotonic() - self._began_s, 3)
            self._file.write(json.dumps({"at": at_s, "from": side, "message": message}) + "\n")
            self._file.flush()

    def close(self) -> None:
        """End the file."""
        self._file.close()


def read(path: Path) -> list[Said]:
    """Return a conversation.

    Raises:
        RecordingFailed: it cannot be read, or a line of it is none; the message says which.
    """
    try:
        texts = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as exc:
        raise RecordingFailed(f"{path.name} cannot be read: {getattr(exc, 'strerror', 'not UTF-8')}") from None
    lines = []
    for number, text in enumerate(texts, 1):
        try:
            content = json.loads(text)
            line = Said(float(content["at"]), content["from"], content["message"])
        except (ValueError, KeyError, TypeError):
            line = None
        if line is None or line.side not in ("cms", "gateway") or not isinstance(line.message, dict):
            raise RecordingFailed(f'{path.name}, line {number}: expected {{"at": s, "from": "cms", "message": …}}')
        lines.append(line)
    return lines
