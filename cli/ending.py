"""How a command begins and ends: settings that make sense, signals that stop it, one sentence when it fails."""

from __future__ import annotations

import signal
from threading import Event
from typing import NoReturn

import typer

from contract import settings as settings_of
from contract.errors import SettingsInvalid
from contract.settings import Settings

#: Exit status when settings make no sense, as for a wrong option.
BAD_USAGE = 2


def settings() -> Settings:
    """Return this process's settings, or end it."""
    try:
        return settings_of.load()
    except SettingsInvalid as exc:
        end(str(exc), BAD_USAGE)


def stop_on_signals() -> Event:
    """Return an event that SIGINT and SIGTERM set."""
    stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    return stop


def end(sentence: str, status: int) -> NoReturn:
    """Exit with a sentence on stderr."""
    typer.echo(f"detector: {sentence}", err=True)
    raise typer.Exit(status)
