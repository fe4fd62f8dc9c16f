"""DETECTOR_VERIFY_ON_LOAD: a package that fails its own golden cases is not used."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable

import pytest

from cli.demo import PACKAGE
from tests.integration.tasks.conftest import Desk, Worker
from tests.servers import eventually

#: Worker and package are real: most of it is the import of torch, on a busy machine.
pytestmark = pytest.mark.timeout(120)


def test_a_package_that_fails_its_own_case_is_refused_where_the_setting_says_so(
    desk: Desk, start: Callable[..., Worker]
) -> None:
    with zipfile.ZipFile(PACKAGE) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    picture = next(name for name in files if name.startswith("tests/car-") and name.endswith(".jpg"))
    files[picture.replace(".jpg", ".json")] = json.dumps({"detection": {"class": "truck"}}).encode()
    with zipfile.ZipFile(desk.home / "wrong.mpta", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    start("tasks", verify_on_load="true", torch_threads=1)

    front = desk.subscribe("a;front", "wrong.mpta")

    problem = eventually(desk.problems, within_s=40.0)[0]
    assert (problem.subscription, problem.code) == (front.id, "model_invalid")
    assert problem.text == f"wrong.mpta: {picture}: 'class' is 'car' and should be 'truck'"
