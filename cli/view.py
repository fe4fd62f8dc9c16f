"""The live view of the demo: what each display sees, as a table that refreshes."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from cli.packages.texts import readable

#: Detections per second are counted over this long.
_WINDOW_S = 5.0


@dataclass(slots=True)
class Row:
    """One display: what it was last told."""

    arrived_s: deque[float] = field(default_factory=deque)
    captured_s: float = 0.0
    detection: Mapping[str, Any] = field(default_factory=dict)
    online: bool | None = None
    trouble: str = ""

    def fps(self, now_s: float) -> float:
        """Return detections per second of late."""
        while self.arrived_s and now_s - self.arrived_s[0] > _WINDOW_S:
            self.arrived_s.popleft()
        return len(self.arrived_s) / _WINDOW_S


class View:
    """Collects protocol messages and shows them."""

    def __init__(self, head: str) -> None:
        self.head = head
        self.seen = 0
        self._rows: dict[str, Row] = {}
        self._usage = ""
        self._trouble = ""

    def take(self, message: Mapping[str, Any]) -> None:
        """Note one message of the gateway; one that is not as the protocol has it is left out."""
        with suppress(KeyError, TypeError, ValueError, AttributeError):
            self._take(message)

    def _take(self, message: Mapping[str, Any]) -> None:
        match message.get("type"):
            case "imageDetection":
                self._detection(message)
            case "stateReport":
                self._state(message)
            case "error":
                row = self._rows.get(str(message.get("subscriptionIdentifier")))
                if row is not None:
                    row.trouble = f"{message.get('code')}: {message.get('error')}"
                else:
                    self._trouble = str(message.get("error"))

    def _detection(self, message: Mapping[str, Any]) -> None:
        detection = message["data"]["detection"]
        captured_s = datetime.fromisoformat(message["timestamp"]).timestamp()
        row = self._rows.setdefault(str(message["subscriptionIdentifier"]), Row())
        row.arrived_s.append(time.monotonic())
        row.captured_s = captured_s
        row.detection = {**detection, "confidence": float(detection["confidence"])}
        row.trouble = ""
        self.seen += row.detection.get("class") != "none"

    def _state(self, message: Mapping[str, Any]) -> None:
        gpu = message.get("gpuUsage")
        self._usage = f"cpu {message['cpuUsage']:.0f} %   memory {message['memoryUsage']:.0f} %"
        self._usage += "" if gpu is None else f"   gpu {gpu:.0f} %"
        for connection in message["cameraConnections"]:
            row = self._rows.setdefault(str(connection["subscriptionIdentifier"]), Row())
            row.online = connection["online"]

    def __rich__(self) -> RenderableType:
        """Return the table as it is now."""
        table = Table(expand=True, box=None, header_style="bold", pad_edge=False)
        for title in ("display;camera", "online", "sees", "brand", "body", "plate"):
            table.add_column(title, no_wrap=True)
        for title in ("confidence", "age", "fps"):
            table.add_column(title, justify="right", no_wrap=True)
        table.add_column("trouble", ratio=1, style="yellow")
        for name, row in sorted(self._rows.items()):
            table.add_row(*(Text(readable(cell, 120)) for cell in self._cells(name, row)))
        waiting = not any(row.detection for row in self._rows.values())
        note = "loading the models; the first detections come in some seconds" if waiting else self._trouble
        return Group(Text(self.head), Text(f"{self._usage}   {readable(note, 120)}", style="dim"), Text(), table)

    @staticmethod
    def _cells(name: str, row: Row) -> list[str]:
        seen = row.detection
        nothing = seen.get("class", "none") == "none"
        online = "?" if row.online is None else "yes" if row.online else "no"
        age = f"{time.time() - row.captured_s:.1f} s" if row.captured_s else ""
        texts = [str(seen.get(key) or "") for key in ("class", "carBrand", "bodyType", "licensePlateText")]
        if nothing:
            texts, age = ["-" if seen else "", "", "", ""], ""
        confidence = "" if nothing else f"{seen['confidence']:.2f}"
        return [name, online, *texts, confidence, age, f"{row.fps(time.monotonic()):.1f}", row.trouble]
