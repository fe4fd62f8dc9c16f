from __future__ import annotations

import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from redis import Redis

from cli import embedded
from mpta import Image
from mpta.compat import PipelineNode, load_pipeline_from_zip, run_pipeline
from tests.servers import RedisServer
from tests.unit.mpta.toys import node, package

SAVE = {"type": "redis_save_image", "key": "seen:{class}:{uuid}", "expire_seconds": 60}
PUBLISH = {
    "type": "redis_publish",
    "channel": "vehicles",
    "message": '{"class":"{class}","confidence":{confidence},"image_key":"{image_key}","ms":{timestamp_ms}}',
}


@pytest.fixture(scope="module")
def pump() -> Iterator[RedisServer]:
    """The server that packages name: by host and port, as theirs do."""
    with tempfile.TemporaryDirectory(prefix="detector-") as home:
        running = RedisServer(Path(home), port=embedded.free_port())
        running.start()
        yield running
        running.stop()


def picture(seed: int = 1) -> Image:
    coarse = np.random.default_rng(seed).integers(0, 255, (9, 16, 3), dtype=np.uint8)
    return cv2.resize(coarse, (160, 90), interpolation=cv2.INTER_CUBIC).astype(np.uint8)


def opened(path: Path, root: dict[str, Any], weights: dict[str, Path], **top: Any) -> PipelineNode:
    files = {f"{task}.pt": weights[task] for task in ("detect", "classify")}
    found = load_pipeline_from_zip(str(package(path / "p.mpta", root, files, **top)), str(path / "cache"))
    assert found is not None
    return found


def test_a_node_has_the_older_engines_keys(weights: dict[str, Path], tmp_path: Path) -> None:
    branch = node("classify", crop=True, triggerClasses=["truck"])
    found = opened(tmp_path, node("detect", triggerClasses=["truck"], branches=[branch]), weights)

    assert {key: value for key, value in found.items() if key not in ("model", "branches")} == {
        "modelId": "detect",
        "modelFile": "detect.pt",
        "triggerClasses": ["truck"],
        "triggerClassIndices": [1],
        "crop": False,
        "minConfidence": 0.25,
        "actions": [],
        "redis_client": None,
    }
    assert found["model"].task == "detect"
    assert [each["modelId"] for each in found["branches"]] == ["classify"]


def test_the_root_answers_with_its_box_and_an_id_that_stays(weights: dict[str, Path], tmp_path: Path) -> None:
    root = opened(tmp_path, node("detect"), weights)

    first, box = run_pipeline(picture(), root, return_bbox=True)
    again = run_pipeline(picture(), root)

    assert first is not None
    assert first["class"] in ("car", "truck")
    assert first["id"] == 1
    assert box is not None
    assert 0 <= box[0] < box[2] <= 160
    assert again == first


def test_a_branch_answers_with_its_parents_box_and_no_id(weights: dict[str, Path], tmp_path: Path) -> None:
    root = opened(tmp_path, node("detect", branches=[node("classify", crop=True)]), weights)
    _, own_box = run_pipeline(picture(), opened(tmp_path, node("detect"), weights), return_bbox=True)

    detection, box = run_pipeline(picture(), root, return_bbox=True)

    assert detection is not None
    assert detection["class"] in ("sedan", "van", "pickup")
    assert detection["id"] is None
    assert box == own_box


def test_a_branch_runs_by_itself_too(weights: dict[str, Path], tmp_path: Path) -> None:
    root = opened(tmp_path, node("detect", branches=[node("classify", crop=True)]), weights)

    detection, box = run_pipeline(picture(), root["branches"][0], return_bbox=True)

    assert detection is not None
    assert detection["class"] in ("sedan", "van", "pickup")
    assert box is None


def test_nothing_seen_and_a_frame_that_is_none_give_none(
    weights: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = opened(tmp_path, node("detect", minConfidence=1.0), weights)
    run: Any = run_pipeline

    assert run(picture(), root) is None
    assert run(picture(), root, return_bbox=True) == (None, None)
    assert not caplog.records
    assert run(None, root) is None
    assert run(None, root, return_bbox=True) == (None, None)
    assert "node 'detect'" in caplog.text


def test_what_cannot_be_loaded_gives_none_and_a_reason(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    broken = tmp_path / "broken.mpta"
    broken.write_bytes(b"no zip")

    for source, reason in (
        (str(broken), "broken.mpta: not a zip"),
        (str(tmp_path / "absent.mpta"), "'absent.mpta' cannot be read: No such file"),
        ("https://cms.example/a.mpta?token=secret", "is no local file; download it first"),
    ):
        caplog.clear()

        assert load_pipeline_from_zip(source, str(tmp_path / "cache")) is None
        assert reason in caplog.text
        assert "secret" not in caplog.text


def test_a_file_address_is_a_path(weights: dict[str, Path], tmp_path: Path) -> None:
    path = package(tmp_path / "a b.mpta", node("detect"), {"detect.pt": weights["detect"]})

    assert load_pipeline_from_zip(path.as_uri(), str(tmp_path / "cache")) is not None


def test_actions_are_run_before_the_result_is_returned(
    weights: dict[str, Path], tmp_path: Path, pump: RedisServer
) -> None:
    target = {"host": "127.0.0.1", "port": pump.port}
    root = opened(tmp_path, node("detect", actions=[PUBLISH, SAVE, PUBLISH]), weights, redis=target)
    with Redis(port=pump.port) as client, client.pubsub() as listening:
        listening.subscribe("vehicles")
        assert listening.get_message(timeout=5) is not None

        detection = run_pipeline(picture(), root)

        assert detection is not None
        before, after = (json.loads(listening.get_message(timeout=5)["data"]) for _ in range(2))
        assert (before["class"], before["confidence"]) == (detection["class"], detection["confidence"])
        assert before["image_key"] == ""
        assert after["image_key"].startswith(f"seen:{detection['class']}:")
        stored = cv2.imdecode(np.frombuffer(client.get(after["image_key"]), np.uint8), cv2.IMREAD_COLOR)
        assert stored is not None
        assert stored.shape == (90, 160, 3)
        assert 0 < client.ttl(after["image_key"]) <= 60


class Refusing:
    """A client of the caller's own whose server takes so many pictures and no more."""

    def __init__(self, pictures: int = 0) -> None:
        self.published: list[tuple[str, str]] = []
        self._pictures = pictures

    def set(self, *_: object, **__: object) -> None:
        self._pictures -= 1
        if self._pictures < 0:
            raise ConnectionError("away")

    def publish(self, channel: str, message: str) -> None:
        self.published.append((channel, message))


def test_an_action_that_fails_costs_neither_the_next_nor_the_detection(
    weights: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = opened(tmp_path, node("detect", actions=[SAVE, PUBLISH]), weights, redis={"host": "127.0.0.1", "port": 1})
    assert "actions are off: 127.0.0.1:1: ConnectionError" in caplog.text
    assert run_pipeline(picture(), root) is not None
    root["redis_client"] = client = Refusing()

    assert run_pipeline(picture(), root) is not None

    assert "an action of node 'detect' failed: ConnectionError" in caplog.text
    assert len(client.published) == 1
    assert json.loads(client.published[0][1])["image_key"] == ""


def test_the_key_of_a_picture_is_empty_after_one_that_failed(weights: dict[str, Path], tmp_path: Path) -> None:
    root = opened(
        tmp_path,
        node("detect", actions=[SAVE, PUBLISH, SAVE, PUBLISH]),
        weights,
        redis={"host": "127.0.0.1", "port": 1},
    )
    root["redis_client"] = client = Refusing(pictures=1)

    run_pipeline(picture(), root)

    assert [bool(json.loads(message)["image_key"]) for _, message in client.published] == [True, False]


def test_a_package_without_actions_needs_no_redis(exported: Callable[..., Path], tmp_path: Path) -> None:
    path = package(tmp_path / "p.mpta", node("detect", modelFile="d.onnx"), {"d.onnx": exported("detect")})
    program = (
        "import sys\nsys.modules['redis'] = None\n"
        "from mpta.compat import load_pipeline_from_zip\n"
        "print(load_pipeline_from_zip(sys.argv[1], sys.argv[2])['modelId'])\n"
    )

    said = subprocess.run(
        [sys.executable, "-c", program, str(path), str(tmp_path)], capture_output=True, text=True, check=True
    )

    assert said.stdout.strip() == "detect"


def test_warnings_of_the_package_are_logged(
    weights: dict[str, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        opened(tmp_path, node("detect", classes=["boat"]), weights)

    assert "p.mpta: pipeline.classes: the model knows none of these classes" in caplog.text
