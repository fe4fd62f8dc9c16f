"""`detector status`: ask the servers, judge, show; once, or again and again."""

from __future__ import annotations

import sys
from threading import Event

import orjson
from rich.console import Console
from rich.live import Live

from cli import embedded
from cli.status.gathering import Unreachable, gather
from cli.status.judging import troubles
from cli.status.report import Report, report
from cli.status.tables import tables
from contract.errors import SettingsInvalid
from contract.settings import Settings

_EVERY_S = 2.0


def run(settings: Settings, *, url: str | None, as_json: bool, watch: bool, stop: Event) -> int:
    """Show how the cluster is until `stop` is set, or once; return 1 when a person must act, else 0.

    Raises:
        SettingsInvalid: `url` is no address of a server.
        Unreachable: nobody answers (while watching, that is shown instead).
    """
    servers = _servers(settings, url)
    if not watch:
        found = _look(servers)
        if as_json:
            _print(found)
        else:
            Console().print(tables(found))
        return int(not found["well"])
    return _watch_as_json(servers, stop) if as_json else _watch(servers, stop)


def _servers(settings: Settings, url: str | None) -> Settings:
    """Return settings that name the servers: `url`'s, else the settings', else those of `detector up` here."""
    if url is not None:
        if not url.startswith(("redis://", "rediss://", "unix://")):
            raise SettingsInvalid("--url: expected an address that starts with redis://, rediss:// or unix://")
        return settings.model_copy(update={"state_url": url})
    if settings.state_url is None and (running := embedded.announced(settings.data_dir)):
        return settings.model_copy(update=running)
    return settings


def _look(servers: Settings) -> Report:
    cluster = gather(servers)
    return report(cluster, troubles(cluster))


def _print(found: Report) -> None:
    sys.stdout.write(f"{orjson.dumps(found).decode()}\n")
    sys.stdout.flush()


def _watch(servers: Settings, stop: Event) -> int:
    well = False
    with Live(screen=sys.stdout.isatty(), auto_refresh=False) as live:
        while not stop.is_set():
            try:
                found = _look(servers)
            except Unreachable as exc:
                well = False
                live.update(str(exc), refresh=True)
            else:
                well = found["well"]
                live.update(tables(found), refresh=True)
            stop.wait(_EVERY_S)
    return int(not well)


def _watch_as_json(servers: Settings, stop: Event) -> int:
    """Print one line per look."""
    found = _look(servers)
    _print(found)
    while not stop.wait(_EVERY_S):
        found = _look(servers)
        _print(found)
    return int(not found["well"])
