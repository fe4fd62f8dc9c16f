"""`detector probe URL`: what a camera is, and what capture would do with it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import typer
from rich.console import Console
from rich.table import Table

from capture.errors import SourceFailed
from capture.probing import Probe, probe
from contract.errors import DetectorError
from contract.settings import Settings
from contract.urls import split_credentials

_DOES = {
    "pass through": "its pictures pass through untouched",
    "key frames": "its key frames alone are decoded",
    "decode all": "all is decoded, and encoded what is wanted",
}
_PASSWORD = {None: "none given, none needed", True: "needed", False: "given, not needed"}


class ProbeFailed(DetectorError):
    """There is nothing to tell of this address, or nowhere to put its picture."""


def run(
    url: str, settings: Settings, *, wanted_fps: float | None, seconds: float, picture: Path | None, as_json: bool
) -> int:
    """Print what the camera is; return 1 when it gives no picture.

    Raises:
        ProbeFailed: one sentence, without the password that the URL may hold.
    """
    bare, credentials = split_credentials(url)
    try:
        seen = probe(
            bare,
            settings,
            credentials=credentials,
            wanted_fps=wanted_fps or settings.target_fps,
            seconds=seconds,
        )
    except SourceFailed as exc:
        if as_json:
            typer.echo(json.dumps({"code": exc.code, "error": exc.text}))
            return 1
        raise ProbeFailed(f"{exc.code}: {exc.text}") from None
    if picture is not None:
        try:
            picture.write_bytes(seen.jpeg)
        except OSError as exc:
            raise ProbeFailed(f"the picture cannot be saved ({exc.strerror}): {picture.name}") from None
    if as_json:
        facts = asdict(seen)
        del facts["jpeg"]
        typer.echo(json.dumps(facts))
    else:
        table = Table(box=None, show_header=False)
        for row in _rows(seen):
            table.add_row(*row)
        Console(highlight=False).print(table)
    return 0


def _rows(seen: Probe) -> Iterator[tuple[str, str]]:
    yield "codec", f"{seen.codec}, {seen.width}x{seen.height}"
    yield "comes by", f"{seen.transport}{', one picture at a time: snapshotUrl' * (seen.kind == 'snapshot')}"
    yield "pictures", f"{seen.fps:.1f} a second"
    if seen.key_interval_s is not None:
        yield "key frames", f"one each {seen.key_interval_s:.2f} s"
    if seen.kbit_s is not None:
        yield "bit rate", f"{seen.kbit_s:,.0f} kbit/s"
    yield "first picture", f"after {seen.first_ms:.0f} ms"
    yield "password", _PASSWORD[seen.needs_credentials]
    yield "what we do", f"{_DOES[seen.does]}; {seen.cpu:.1%} of a core at {seen.wanted_fps:g} wanted a second"
    yield "its picture", f"is {seen.flaw.replace('_', ' ')}" if seen.flaw else "has no flaw that was seen"
