"""`detector asyncapi`: the CMS protocol's document, as gateways serve it."""

from __future__ import annotations

import json

import typer

from worker_api import asyncapi


def text() -> str:
    """Return the document as text, as `docs/asyncapi.json` holds it."""
    return json.dumps(asyncapi.document(), indent=2, ensure_ascii=False) + "\n"


def run() -> int:
    """Print it; return the exit status."""
    typer.echo(text(), nl=False)
    return 0
