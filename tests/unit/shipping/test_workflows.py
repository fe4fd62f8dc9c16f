"""The workflow files: valid, pinned, and building what is shipped."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from tests.unit.shipping.files import ROOT, WORKFLOWS, compose, schema, workflow

FOLDER = ROOT / ".github" / "workflows"


def steps(path: Path) -> list[dict[str, Any]]:
    """Return the steps of all jobs."""
    return [step for job in workflow(path)["jobs"].values() for step in job.get("steps", [])]


def faults(content: dict[str, Any]) -> list[str]:
    """Return what the published schema of workflow files has against `content`."""
    return [error.message for error in Draft7Validator(schema("github-workflows")).iter_errors(content)]


def test_there_are_two_workflows() -> None:
    assert [path.name for path in WORKFLOWS] == ["ci.yml", "image.yml"]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_what_its_schema_allows(path: Path) -> None:
    assert faults(workflow(path)) == []
    assert faults(workflow(path) | {"jbos": {}})


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_foreign_actions_are_pinned_to_a_version(path: Path) -> None:
    used = [step["uses"] for step in steps(path) if "uses" in step]

    assert used
    assert not [action for action in used if not re.search(r"@(v\d+\.\d+\.\d+|[0-9a-f]{40})$", action)]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_may_only_read_and_ends(path: Path) -> None:
    content = workflow(path)

    assert content["permissions"] == {"contents": "read"}
    assert all("timeout-minutes" in job for job in content["jobs"].values() if "uses" not in job)


def test_a_change_is_tested_by_the_command_that_developers_run() -> None:
    commands = [step["run"] for step in steps(FOLDER / "ci.yml") if "run" in step]

    assert [command.split()[:2] for command in commands] == [["make", "test"]]
    assert workflow(FOLDER / "image.yml")["jobs"]["build"]["needs"] == "test"


def test_both_variants_that_compose_names_are_built() -> None:
    matrix = workflow(FOLDER / "image.yml")["jobs"]["build"]["strategy"]["matrix"]["include"]
    services = compose()["services"].values()
    named = {given["build"]["args"]["TORCH_BACKEND"] for given in services if "build" in given}

    assert {variant["backend"] for variant in matrix} == named == {"cpu", "cu130"}


def test_an_image_is_pushed_only_where_the_repository_says_and_after_it_was_tried() -> None:
    found = steps(FOLDER / "image.yml")
    push = [step for step in found if step.get("with", {}).get("push")]
    tried = [i for i, step in enumerate(found) if "docker run" in step.get("run", "")]

    assert len(push) == 1
    assert push[0]["if"] == "env.PUSH == 'true'"
    assert tried
    assert found.index(push[0]) > tried[0]
    (login,) = [step["with"] for step in found if "login-action" in step.get("uses", "")]
    assert login["registry"] == "${{ vars.IMAGE_REGISTRY }}"
    assert login["password"] == "${{ secrets.REGISTRY_PASSWORD }}"
