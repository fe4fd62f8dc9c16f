"""`detector settings`: the settings as a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from contract.settings import HIDDEN, PREFIX, Settings
from contract.urls import redact


def rows() -> Iterator[tuple[str, str, str]]:
    """Yield (variable, default, what it is) of every setting, in the order of their declaration."""
    for name, field in Settings.model_fields.items():
        yield PREFIX + name.upper(), shown(field.default), field.description or ""


def shown(value: Any) -> str:
    """Return a setting's value as a variable would spell it, without secrets; "" for an unset one."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case float():
            return f"{value:g}"
        case tuple():
            return (os.pathsep if isinstance(next(iter(value), None), Path) else ",").join(map(str, value))
    return redact(str(value))


def show(settings: Settings) -> None:
    """Print the table."""
    table = Table("variable", "default", "here", "what it is", box=None, header_style="bold")
    for variable, default, description in rows():
        here = shown(getattr(settings, variable.removeprefix(PREFIX).lower()))
        hidden = "(set)" if variable.removeprefix(PREFIX).lower() in HIDDEN and here else here
        table.add_row(variable, default, hidden if hidden != default else "", description)
    Console().print(table)
