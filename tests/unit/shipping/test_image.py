"""Dockerfile, .dockerignore and LICENSE."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.unit.shipping.files import COMPOSE, ROOT, WORKFLOWS, modules_of

DOCKERFILE = ROOT / "Dockerfile"
#: The GNU Affero General Public License, version 3, as the Free Software Foundation publishes it.
AGPL_3 = "0d96a4ff68ad6d4b6f1f30f713b18d5184912ba8dd389f86aa7710db079abcb0"


def instructions() -> list[tuple[str, str]]:
    """Return (instruction, arguments) of the Dockerfile, lines joined, comments left out."""
    text = re.sub(r"^#.*\n", "", DOCKERFILE.read_text(), flags=re.MULTILINE).replace("\\\n", " ")
    parts = [line.split(maxsplit=1) for line in text.splitlines() if line.strip()]
    return [(word.upper(), " ".join(rest.split())) for word, rest in parts]


def stages() -> list[dict[str, list[str]]]:
    """Return the arguments of each instruction, by stage; what precedes the first stage is left out."""
    found: list[dict[str, list[str]]] = []
    for word, rest in instructions():
        if word == "FROM":
            found.append({})
        if found:
            found[-1].setdefault(word, []).append(rest)
    return found


def runtime() -> dict[str, list[str]]:
    """Return the arguments of each instruction of the last stage."""
    return stages()[-1]


def test_the_process_is_not_root() -> None:
    assert runtime()["USER"] == ["10001:10001"]
    assert any("useradd --uid 10001" in command for command in runtime()["RUN"])


def test_the_image_knows_how_to_check_and_stop_itself() -> None:
    (check,) = runtime()["HEALTHCHECK"]
    command = json.loads(check.partition("CMD ")[2])

    assert all(importlib.util.find_spec(module) for module in modules_of(command))
    assert modules_of(command) == ["cli.healthcheck"]
    assert runtime()["STOPSIGNAL"] == ["SIGTERM"]


def test_the_image_starts_the_gateway() -> None:
    (command,) = map(json.loads, runtime()["CMD"])

    assert modules_of(command) == ["worker_api"]


def test_models_are_a_volume() -> None:
    (volumes,) = map(json.loads, runtime()["VOLUME"])

    assert "/app/models" in volumes


def test_both_stages_stand_on_one_python_that_has_a_version() -> None:
    bases = {rest.split(" AS ")[0] for word, rest in instructions() if word == "FROM"}
    arguments = dict(rest.split("=", 1) for word, rest in instructions() if word == "ARG" and "=" in rest)

    assert bases == {"${PYTHON_IMAGE}"}
    assert re.fullmatch(r"python:3\.13-slim-\w+", arguments["PYTHON_IMAGE"])


def test_a_change_of_ours_leaves_the_layer_of_the_dependencies_alone() -> None:
    dependencies, image = stages()
    sources = {name for copied in dependencies["COPY"] for name in copied.split()[:-1]}

    assert sources == {"requirements-bootstrap.lock", "requirements.lock", "deploy/split_lock.py"}
    assert image["COPY"] == ["--from=dependencies /opt/detector /opt/detector", ". /app"]


def test_the_sources_may_be_read_whatever_the_umask_of_the_host() -> None:
    (install,) = [command for command in runtime()["RUN"] if "--editable /app" in command]

    assert "chmod -R go=rX /app &&" in install


def test_what_is_in_the_lock_is_installed_with_its_hashes() -> None:
    installs = [part for word, rest in instructions() if word == "RUN" for part in re.split("&&|;", rest)]
    from_locks = [part for part in installs if "bootstrap.lock" in part or "-r locked.txt" in part]

    assert len(from_locks) == 2
    assert all("--require-hashes" in part for part in from_locks)


def test_every_room_of_the_program_goes_to_the_builder() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    find = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]["find"]

    assert let_in >= {name.removesuffix("*") for name in find["include"]}
    assert let_in >= {"celeryconfig.py", "pyproject.toml", "requirements.lock", "LICENSE", "README.md", "models"}
    assert not [name for name in let_in if not (ROOT / name).exists()]
    assert (ROOT / ".dockerignore").read_text().splitlines()[1] == "*"


@pytest.mark.parametrize("file", [DOCKERFILE, COMPOSE, *WORKFLOWS, ROOT / ".env.example"], ids=lambda file: file.name)
def test_no_file_names_a_host_or_an_image_that_changes_under_us(file: Path) -> None:
    text = file.read_text()

    assert not re.findall(r"[\w-]+\.(?:io|com|org|net|dev|cloud|ai)\b", text)
    assert ":latest" not in text


def test_the_licence_is_all_of_the_agpl() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert hashlib.sha256((ROOT / "LICENSE").read_bytes()).hexdigest() == AGPL_3
    assert project["license"] == "AGPL-3.0-or-later"
