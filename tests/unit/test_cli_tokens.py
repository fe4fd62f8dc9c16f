"""`detector token`: what it prints is what a gateway takes."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from cli.main import app
from contract import settings
from worker_api.tokens import Tokens


@pytest.fixture(autouse=True)
def fresh() -> Iterator[None]:
    """Settings are read anew."""
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def test_a_new_token_joins_those_that_are_set(monkeypatch: pytest.MonkeyPatch) -> None:
    old = f"old:{'0' * 64}"
    monkeypatch.setenv("DETECTOR_TOKENS", old)

    printed = CliRunner().invoke(app, ["token", "display-7"])

    token, line = re.search(r"det_\S+", printed.stdout), re.search(r"DETECTOR_TOKENS=(\S+)", printed.stdout)
    assert token is not None
    assert line is not None
    assert line[1].startswith(f"{old},display-7:")
    assert token[0] not in line[1]
    assert Tokens(line[1].split(",")).name_of(token[0]) == "display-7"


def test_a_token_cannot_be_called_what_the_setting_does_not_take() -> None:
    printed = CliRunner().invoke(app, ["token", "two words"])

    assert printed.exit_code == 1
    assert "expected 1 to 64 letters" in printed.stderr
