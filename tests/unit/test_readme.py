"""The README says what is so."""

from __future__ import annotations

import re
from pathlib import Path

from typer.main import get_command

from cli.main import app
from cli.settings_table import rows

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_settings_table_is_that_of_the_code() -> None:
    table = README.partition("<!-- settings:")[2].partition("<!-- end of settings -->")[0]
    expected = [f"| `{name}` | {f'`{default}`' if default else ''} | {what} |" for name, default, what in rows()]

    assert [line for line in table.splitlines() if line.startswith("| `")] == expected


def test_every_detector_command_named_there_exists() -> None:
    named = set(re.findall(r"`(?:\.venv/bin/)?detector ([a-z][a-z-]*)", README))

    assert named
    assert named <= set(getattr(get_command(app), "commands", {}))


def test_every_make_target_named_there_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert (
        set(re.findall(r"make ([a-z]+)\b", "\n".join(re.findall(r"`[^`]*`|^make .*$", README, re.MULTILINE))))
        <= targets
    )


def test_every_file_and_folder_named_there_exists() -> None:
    linked = re.findall(r"\]\(([^)#:]+)\)", README)
    named = re.findall(r"`([a-z_]+/(?:[a-z_]+\.py)?)`", README)

    assert linked
    assert named
    assert [path for path in (*linked, *named) if not (ROOT / path).exists()] == []
