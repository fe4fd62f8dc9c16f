"""The files that a release ships, as their readers see them."""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[3]
COMPOSE = ROOT / "docker-compose.yml"
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))

#: What docker-compose.yml insists on.
SECRETS = {"STATE_PASSWORD": "s3", "FRAMES_PASSWORD": "f4", "DETECTOR_FLOWER_BASIC_AUTH": "me:secret"}

_INNERMOST = re.compile(r"\$\{(?P<name>\w+)(?:(?P<rule>:-|:\?)(?P<rest>[^${}]*))?\}")


class Missing(Exception):
    """A variable that the file insists on has no value."""


def compose(variables: Mapping[str, str] = SECRETS) -> dict[str, Any]:
    """Return docker-compose.yml as compose reads it where `variables` are set.

    Raises:
        Missing: the message is what the file says about it.
    """
    loaded: dict[str, Any] = _interpolated(yaml.safe_load(COMPOSE.read_text()), variables)
    return loaded


def _interpolated(node: Any, variables: Mapping[str, str]) -> Any:
    """Return `node` with the variables in its texts replaced; as compose does, after the YAML is read."""

    def value(match: re.Match[str]) -> str:
        given = variables.get(match["name"], "")
        if not given and match["rule"] == ":?":
            raise Missing(match["rest"])
        return given or (match["rest"] if match["rule"] else "")

    match node:
        case dict():
            return {key: _interpolated(inner, variables) for key, inner in node.items()}
        case list():
            return [_interpolated(inner, variables) for inner in node]
        case str():
            text = node.replace("$$", "\0")
            while _INNERMOST.search(text):
                text = _INNERMOST.sub(value, text)
            assert "$" not in text, f"{node!r} names a variable that cannot be read"
            return text.replace("\0", "$")
    return node


def services() -> dict[str, Any]:
    """Return compose's services, the secrets being set."""
    found: dict[str, Any] = compose()["services"]
    return found


def workflow(path: Path) -> dict[str, Any]:
    """Return a workflow; YAML 1.1 takes its `on` for true."""
    loaded = yaml.safe_load(path.read_text())
    return {"on" if key is True else key: value for key, value in loaded.items()}


def schema(name: str) -> dict[str, Any]:
    """Return a published JSON schema, as the package check-jsonschema carries it: no network."""
    spec = importlib.util.find_spec("check_jsonschema")
    assert spec is not None, "check-jsonschema, a development dependency, is not installed"
    assert spec.origin is not None
    loaded: dict[str, Any] = json.loads(
        (Path(spec.origin).parent / "builtin_schemas" / "vendor" / f"{name}.json").read_text()
    )
    return loaded


def modules_of(command: list[str]) -> list[str]:
    """Return the Python modules that a command names: `-m MODULE`, `-A MODULE`."""
    return [name for option, name in pairwise(command) if option in {"-m", "-A"}]
