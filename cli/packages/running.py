"""`detector mpta run`: a package on pictures, a recording or a camera, drawn, saved, shown, told."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Event
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.text import Text

import mpta
from cli.packages.footage import Footage, Shot, open_footage, paced
from cli.packages.page import Page
from cli.packages.saving import PageSink, Sink, sink_for
from cli.packages.texts import readable
from contract.settings import Settings
from mpta import templates
from mpta.drawing import drawn


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What to do with what is seen.

    Attributes:
        frames: how many pictures to run; None: all.
        device: `cpu`, `cuda`, `cuda:1`.
    """

    save: Path | None = None
    show: bool = False
    as_json: bool = False
    frames: int | None = None
    device: str = "cpu"


@dataclass(slots=True)
class Tally:
    """What was run and seen: objects by their ids where they are tracked, else each sighting."""

    frames: int = 0
    began_s: float = field(default_factory=time.monotonic)
    _tracked: dict[int, str] = field(default_factory=dict)
    _sightings: Counter[str] = field(default_factory=Counter)

    def add(self, result: mpta.Result) -> None:
        """Count a frame."""
        self.frames += 1
        for seen in result.objects or ((result.detection,) if result.detection is not None else ()):
            if seen.get("id") is None:
                self._sightings[seen["class"]] += 1
            else:
                self._tracked.setdefault(seen["id"], seen["class"])

    def __str__(self) -> str:
        """Return it in one line."""
        seconds = time.monotonic() - self.began_s
        counts = Counter(self._tracked.values()) or self._sightings
        classes = ", ".join(f"{count} {readable(name, 40)}" for name, count in counts.most_common(8))
        rate = self.frames / seconds if seconds else 0.0
        noun = f"frame{'s' * (self.frames != 1)}"
        what = f"{counts.total()} object{'s' * (counts.total() != 1)}" + (f": {classes}" if classes else "")
        return f"{self.frames} {noun} in {seconds:.1f} s ({rate:.1f} frames/s), {what}"


def run(package: Path, source: str, settings: Settings, wish: Wish, stop: Event) -> int:
    """Run a package on a source until that ends or `stop` is set; return the exit status.

    Raises:
        DetectorError: the source cannot be read, or the target not be written.
        mpta.MptaError: the package is refused.
        OSError: a file cannot be read or written.
    """
    notes = Console(stderr=True, soft_wrap=True)
    footage = open_footage(source, settings, stop)
    pipeline = mpta.load(package, wish.device, threads=settings.torch_threads)
    tally = Tally()
    with ExitStack() as stack:
        shots = stack.enter_context(closing(footage.shots))
        sinks: list[Sink] = [sink_for(wish.save, footage)] if wish.save is not None else []
        page = stack.enter_context(Page()) if wish.show else None
        if page is not None:
            sinks.append(PageSink(page))
            opened = page.open_browser()
            notes.print(Text(f"{'Shown' if opened else 'Open'} in a browser on this machine: {page.url}"))
        for sink in sinks:
            stack.callback(sink.close)
        due = paced(shots, stop) if wish.show and footage.kind != "live" else shots
        plan = _progress(footage, wish, notes, islice(due, wish.frames))
        tracks = b""
        for shot in plan:
            if stop.is_set():
                break
            frame = mpta.Frame(image=shot.image, tracks=tracks, captured_ms=round(shot.at_s * 1000))
            (result,) = pipeline.run([frame])
            tracks = result.tracks if footage.kind != "pictures" else b""
            _tell(tally.frames, shot, result, as_json=wish.as_json)
            tally.add(result)
            if sinks:
                canvas = drawn(shot.image, result)
                for sink in sinks:
                    sink.put(shot, canvas)
        if page is not None and not stop.is_set():
            notes.print("The last picture stays there until Ctrl-C.")
            stop.wait()
    (notes if wish.as_json else Console(soft_wrap=True)).print(Text(str(tally)))
    return 0


def _progress(footage: Footage, wish: Wish, notes: Console, shots: Iterator[Shot]) -> Iterator[Shot]:
    """Yield the shots, with a bar where somebody sees it and the end is known."""
    total = footage.total if wish.frames is None or footage.total is None else min(footage.total, wish.frames)
    if not notes.is_terminal or total is None or total == 1:
        yield from shots
        return
    columns = TextColumn("running"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn()
    with Progress(*columns, console=notes, transient=True) as progress:
        yield from progress.track(shots, total=total)


def _tell(number: int, shot: Shot, result: mpta.Result, *, as_json: bool) -> None:
    """Write a line about a picture: always as JSON, and for people where the picture has a name."""
    if as_json:
        named = {"file": shot.name} if shot.name else {"time": round(shot.at_s, 3)}
        actions = list(_actions(result))
        seen = {"detection": result.detection, "objects": list(result.objects), "actions": actions}
        sys.stdout.write(json.dumps({"frame": number, **named, **seen}) + "\n")
        sys.stdout.flush()
    elif shot.name:
        said = result.detection or {"class": "nothing"}
        words = (_word(key, value) for key, value in said.items() if key != "objects" and value is not None)
        sys.stdout.write(f"{readable(shot.name)}  {'  '.join(words)}\n")


def _word(key: str, value: object) -> str:
    shown = f"{value:.2f}" if isinstance(value, float) else readable(str(value))
    return shown if key in {"class", "confidence"} else f"{readable(key)}={shown}"


def _actions(result: mpta.Result) -> Iterator[dict[str, Any]]:
    """Yield what the package's actions would have done now. None is done: what belongs to a CMS is null."""
    now = datetime.now(UTC)
    moment = {"timestamp_ms": int(now.timestamp() * 1000), "timestamp": f"{now:%Y-%m-%dT%H:%M:%S}.{now:%f}"[:-3] + "Z"}
    image_keys: dict[str, str] = {}
    for event in result.events:
        for action in event.actions:
            context: Mapping[str, object] = {
                **event.context,
                **moment,
                "uuid": event.uuid,
                "image_key": image_keys.get(event.uuid, ""),
            }
            if isinstance(action, mpta.Publish):
                channel, message = (templates.render(text, context) for text in (action.channel, action.message))
                yield {"modelId": event.model_id, "type": "redis_publish", "channel": channel, "message": message}
            else:
                image_keys[event.uuid] = key = templates.render(action.key, context)
                height, width = event.image.shape[:2]
                size = {"width": width, "height": height}
                yield {"modelId": event.model_id, "type": "redis_save_image", "key": key, **size}
