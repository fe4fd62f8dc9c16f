"""`.env.example` and docker-compose.yml show every setting, with the default that the code has."""

from __future__ import annotations

import re
from itertools import pairwise
from pathlib import Path

import pytest

from cli import settings_table
from contract.settings import Settings
from tests.unit.shipping.files import COMPOSE, ROOT, SECRETS, compose, services

EXAMPLE = ROOT / ".env.example"
DEFAULTS = {variable: default for variable, default, _ in settings_table.rows()}
#: In containers the servers are elsewhere; everything else is the code's default.
SERVERS = {
    "DETECTOR_STATE_URL": "redis://:${STATE_PASSWORD}@state:6379/0",
    "DETECTOR_FRAMES_URL": "redis://:${FRAMES_PASSWORD}@frames:6379/0",
}


def shown() -> list[tuple[str, str, str]]:
    """Return (variable, default, line above) of `.env.example`."""
    lines = EXAMPLE.read_text().splitlines()
    pairs = [(above, re.fullmatch(r"#?([A-Z_]+)=(.*)", line)) for above, line in pairwise(lines)]
    return [(match[1], match[2], above) for above, match in pairs if match]


def test_the_example_shows_every_setting_once_with_its_default() -> None:
    variables = [(name, default) for name, default, _ in shown() if name.startswith("DETECTOR_")]

    assert sorted(variables) == sorted(DEFAULTS.items())


def test_the_example_says_of_every_setting_what_it_is() -> None:
    said = {name: above for name, _, above in shown()}

    # The login of Flower stands with the secrets, in words about compose.
    wanted = {name: f"# {text}" for name, _, text in settings_table.rows() if name != "DETECTOR_FLOWER_BASIC_AUTH"}
    assert {name: said[name] for name in wanted} == wanted


def test_the_example_as_it_stands_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in DEFAULTS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    all_counted = re.sub(r"^#(?=[A-Z_]+=)", "", EXAMPLE.read_text(), flags=re.MULTILINE)
    Path(".env").write_text(all_counted)

    assert Settings() == Settings(_env_file=None)


def test_the_example_shows_every_variable_that_compose_reads() -> None:
    read = set(re.findall(r"\$\{(\w+)", COMPOSE.read_text()))

    assert read == {name for name, _, _ in shown()}


def test_compose_shows_every_setting_with_its_default() -> None:
    text = COMPOSE.read_text().partition("x-settings: &settings\n")[2].partition("\n\n")[0]
    lines = dict(line.strip().split(": ", 1) for line in text.splitlines())

    assert lines == {name: f"${{{name}:-{SERVERS.get(name, value)}}}" for name, value in DEFAULTS.items()}


@pytest.mark.parametrize("service", ["gateway", "capture", "worker", "worker-gpu", "flower"])
def test_every_part_gets_every_setting(service: str) -> None:
    environment = services()[service]["environment"]

    assert environment.keys() >= DEFAULTS.keys()


def test_what_a_part_gets_are_settings_that_the_code_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in services()["worker"]["environment"].items():
        monkeypatch.setenv(name, value)

    settings = Settings(_env_file=None)

    assert settings.state == f"redis://:{SECRETS['STATE_PASSWORD']}@state:6379/0"
    assert settings.broker == settings.state
    assert settings.frames == f"redis://:{SECRETS['FRAMES_PASSWORD']}@frames:6379/0"


def test_a_value_from_outside_reaches_every_part() -> None:
    changed = compose({**SECRETS, "DETECTOR_TARGET_FPS": "5", "DETECTOR_STATE_URL": "rediss://:x@elsewhere:6380/0"})

    for service in ("gateway", "capture", "worker", "flower"):
        environment = changed["services"][service]["environment"]
        assert environment["DETECTOR_TARGET_FPS"] == "5"
        assert environment["DETECTOR_STATE_URL"] == "rediss://:x@elsewhere:6380/0"
