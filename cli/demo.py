"""`detector demo`: the whole system on this machine, with cameras of its own and a CMS that shows what comes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Event, Thread
from typing import IO, Any

from rich.console import Console
from rich.live import Live

from cli import cms, embedded, stack
from cli.processes import Child
from cli.stack import NotReady, Stack
from cli.view import View
from contract.settings import PREFIX, Settings

#: Where `make models` puts what `make demo` runs.
PACKAGE = Path(__file__).resolve().parent.parent / "models" / "forecourt.mpta"
_FOR_EVER_S = 10 * 365 * 86_400.0


def subscriptions(rtsp: str, http: str) -> list[dict[str, Any]]:
    """Return the demo's subscribe messages: four cameras, one of them on two displays."""
    sources: list[tuple[str, str, dict[str, Any]]] = [
        ("pump-1", "cam1", {"rtspUrl": f"{rtsp}/cam1"}),
        ("kiosk", "cam1", {"rtspUrl": f"{rtsp}/cam1"}),
        ("pump-2", "cam2", {"rtspUrl": f"{rtsp}/cam2"}),
        ("pump-3", "cam3", {"snapshotUrl": f"{http}/cam3.jpg", "snapshotInterval": 250}),
        ("pump-4", "cam4", {"rtspUrl": f"{http}/cam4.mjpg"}),
    ]
    model = {"modelUrl": str(PACKAGE), "modelId": 1, "modelName": "forecourt"}
    return [
        {"type": "subscribe", "payload": {"subscriptionIdentifier": f"{display};{camera}", **source, **model}}
        for display, camera, source in sources
    ]


def run(settings: Settings, *, seconds: float | None, as_json: bool, stop: Event) -> int:
    """Run the demo for `seconds`, or until `stop`; return 0 when detections arrived, else 1 after one sentence.

    Raises:
        DetectorError: something did not start; the message says what and why.
    """
    if not PACKAGE.is_file():
        raise NotReady("the demo's package models/forecourt.mpta is missing; `make models` makes it")
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    os.environ[f"{PREFIX}MODEL_DIRS"] = os.pathsep.join(map(str, (PACKAGE.parent, *settings.model_dirs)))
    log_path = settings.data_dir / "demo.log"
    notes = Console(stderr=True, soft_wrap=True)
    with TemporaryDirectory(prefix="detector-demo-") as folder, log_path.open("wb") as log:
        if not as_json:
            notes.print(f"Starting servers, cameras, capture, worker and gateway (what they say: {log_path}) …")
        with stack.running(settings, durable=False, output=log, home=Path(folder)) as system:
            messages = _start_cameras(system, log)
            with _watched(system, stop):
                stack.wait_until_ready(system, stop)
                until_s = time.monotonic() + (seconds if seconds is not None else _FOR_EVER_S)
                seen = _show(system, messages, stop, until_s, as_json=as_json)
        if not as_json:
            notes.print("Everything is stopped.")
    if seen == 0 and seconds is not None:
        notes.print(f"No detection arrived in {seconds:g} s; {log_path} says what the processes met.")
        return 1
    return 0


def _start_cameras(system: Stack, log: IO[bytes]) -> list[dict[str, Any]]:
    rtsp, http = (embedded.free_port() for _ in range(2))
    ports = ["--rtsp-port", str(rtsp), "--http-port", str(http)]
    command = [sys.executable, "-m", "cli.main", "cameras", *ports]
    system.processes.start(Child("cameras", command, output=log))
    return subscriptions(f"rtsp://127.0.0.1:{rtsp}", f"http://127.0.0.1:{http}")


@contextmanager
def _watched(system: Stack, stop: Event) -> Iterator[None]:
    """Restart what dies while the block runs."""

    def watch() -> None:
        system.processes.watch(over)

    over = Event()
    thread = Thread(target=watch, name="watch", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        over.set()
        thread.join()


def _show(system: Stack, greeting: list[dict[str, Any]], stop: Event, until_s: float, *, as_json: bool) -> int:
    """Show what comes until the time is over; return how many detections of something came."""
    view = View(_head(system))
    gateway = f"{system.url('ws')}/"
    incoming = cms.listen(gateway, greeting, stop, until_s, headers=system.headers, tls=system.tls())
    if as_json or not sys.stdout.isatty():
        for message in incoming:
            if message is not None:
                view.take(message)
                sys.stdout.write(json.dumps(message) + "\n")
                sys.stdout.flush()
        return view.seen
    with Live(view, refresh_per_second=8, screen=True):
        for message in incoming:
            if message is not None:
                view.take(message)
    return view.seen


def _head(system: Stack) -> str:
    flower = f"   Flower http://127.0.0.1:{system.settings.flower_port}/" if system.settings.flower else ""
    picture = f"{system.url('http')}/camera/pump-1;cam1/image"
    return f"detector demo   CMS {system.url('ws')}/   picture {picture}{flower}   Ctrl-C ends everything"
