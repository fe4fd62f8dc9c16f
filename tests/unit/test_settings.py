"""`contract.settings`: where values come from, and what a bad one says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from contract import settings
from contract.errors import SettingsInvalid


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Each test reads its settings anew, in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    settings.load.cache_clear()
    yield
    settings.load.cache_clear()


def test_the_environment_wins_over_env_file_and_that_over_the_older_config(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_streams": 1, "target_fps": 2, "max_retries": 3, "odd": 4}))
    (tmp_path / ".env").write_text("DETECTOR_MAX_STREAMS=10\nDETECTOR_TARGET_FPS=20\n")
    monkeypatch.setenv("DETECTOR_MAX_STREAMS", "100")

    found = settings.load()

    assert (found.max_streams, found.target_fps, found.max_retries) == (100, 20.0, 3)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("DETECTOR_PORT", "70000"),
        ("DETECTOR_TARGET_FPS", "fast"),
        ("DETECTOR_STATE_URL", "http://somewhere/"),
        ("DETECTOR_DEVICE", "toaster"),
        ("DETECTOR_LOG_LEVEL", "LOUD"),
        ("DETECTOR_ORIGINS", "cms.example"),
        ("DETECTOR_ORIGINS", "https://cms.example/page"),
        ("DETECTOR_CAMERA_HOSTS", "10.0.0.0/33"),
        ("DETECTOR_MODEL_HOSTS", "https://models.example"),
        ("DETECTOR_TOKENS", "cms:1234"),
    ],
)
def test_a_value_that_makes_no_sense_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(variable, value)

    with pytest.raises(SettingsInvalid) as caught:
        settings.load()

    assert str(caught.value).startswith(f"{variable}=")
    assert "\n" not in str(caught.value)


def test_a_bad_older_config_is_named(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{")

    with pytest.raises(SettingsInvalid, match=r"config\.json: not JSON"):
        settings.load()


def test_a_password_in_a_bad_server_address_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_STATE_URL", "http://user:hunter2@somewhere/")

    with pytest.raises(SettingsInvalid) as caught:
        settings.load()

    assert "hunter2" not in str(caught.value)


def test_one_server_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_STATE_URL", "rediss://one:6380/0")

    found = settings.load()

    assert found.frames == found.broker == "rediss://one:6380/0"


def test_a_token_that_was_set_instead_of_its_hash_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_TOKENS", "det_hunter2")

    with pytest.raises(SettingsInvalid) as caught:
        settings.load()

    assert "hunter2" not in str(caught.value)
    assert "detector token" in str(caught.value)


@pytest.mark.parametrize("alone", ["DETECTOR_TLS_CERT", "DETECTOR_TLS_KEY"])
def test_a_certificate_and_its_key_go_together(monkeypatch: pytest.MonkeyPatch, alone: str) -> None:
    monkeypatch.setenv(alone, "file.pem")

    with pytest.raises(SettingsInvalid, match="both a certificate and its key"):
        settings.load()


def test_lists_are_separated_by_commas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETECTOR_CAMERA_HOSTS", "10.0.0.0/8, .cams.example,fd00::/8")
    monkeypatch.setenv("DETECTOR_ORIGINS", "https://CMS.example/")

    found = settings.load()

    assert found.camera_hosts == ("10.0.0.0/8", ".cams.example", "fd00::/8")
    assert found.origins == ("https://cms.example",)
