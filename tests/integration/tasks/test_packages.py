"""`Packages` with real files, a real server and pipelines of colour models: who stays loaded, and for how long."""

from __future__ import annotations

import hashlib
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from contract.keys import PipelineId
from contract.settings import Settings
from mpta import PackageInvalid, Pipeline, Weights
from tasks.packages import Packages
from tasks.store import Store
from tests.integration.tasks.shop import Shop, shops
from tests.servers import eventually
from tests.unit.mpta.toys import ColourDetector, manifest, node

shop = pytest.fixture(shops)
MB = 1_000_000
EYE = ColourDetector(("car",), (((0, 140, 255), 0.9),))


@dataclass
class Room:
    """A worker's packages, with all their threads. Each address is its own pipeline's name.

    Attributes:
        sizes: memory of the weights that a package's content names; content that is not here is refused.
        weights: what is in memory, by content.
    """

    folder: Path
    sizes: dict[str, int]
    settings: dict[str, Any]
    in_work_s: float = 0.0
    kept_s: float = 60.0
    loads: list[str] = field(default_factory=list)
    ready: list[str] = field(default_factory=list)
    wanted: dict[PipelineId, str] = field(default_factory=dict)
    weights: dict[str, Weights] = field(default_factory=dict)

    def __post_init__(self) -> None:
        defaults: dict[str, Any] = {
            "model_refresh_seconds": 0.05,
            "model_retry_seconds": 0.05,
            "data_dir": self.folder / "data",
        }
        settings = Settings(model_dirs=(self.folder,), **{**defaults, **self.settings})
        store = Store.of(settings)
        self.packages = Packages(
            settings, store, self._load, self.ready.append, kept_s=self.kept_s, in_work_s=self.in_work_s
        )
        self._stop = threading.Event()
        self._threads = self.packages.start(self._stop)
        self._threads.append(threading.Thread(target=self._reconcile, daemon=True))
        self._threads[-1].start()

    def _load(self, path: Path, name: str) -> Pipeline:
        content = path.read_text()
        self.loads.append(content)
        if content not in self.sizes:
            raise PackageInvalid(name, ["not a zip archive"])
        model = content.split("/")[0]
        weights = self.weights.setdefault(model, Weights(model, self.sizes[content], EYE))
        digest = hashlib.sha256(content.encode()).hexdigest()
        return Pipeline(manifest(node("m")), {"m": EYE}, digest=digest, weights=(weights,))

    def _reconcile(self) -> None:
        while not self._stop.wait(0.01):
            self.packages.want(self.wanted)

    def write(self, name: str, content: str) -> None:
        """Write a package, as if that had been a while ago."""
        path = self.folder / name
        path.with_suffix(".new").write_text(content)
        os.utime(path.with_suffix(".new"), (time.time() - 100, time.time() - 100))
        path.with_suffix(".new").replace(path)

    def want(self, urls: Mapping[str, str] | list[str]) -> None:
        """Have these wanted, and no others."""
        self.wanted = {PipelineId(url): url for url in urls}

    def here(self) -> set[str]:
        """Return the names of what is loaded, without using it."""
        return set(self.packages.versions)

    def close(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()


@pytest.fixture
def room(tmp_path: Path) -> Iterator[Callable[..., Room]]:
    opened: list[Room] = []

    def make(sizes: dict[str, int], *, in_work_s: float = 0.0, kept_s: float = 60.0, **settings: object) -> Room:
        opened.append(Room(tmp_path, sizes, settings, in_work_s, kept_s))
        return opened[-1]

    yield make
    for each in opened:
        each.close()


def test_what_nobody_wants_is_kept_for_a_while_and_then_goes(room: Callable[..., Room]) -> None:
    patient, hasty = room({"a": MB}), room({"a": MB}, kept_s=0.1)
    patient.write("a.mpta", "a")
    for each in (patient, hasty):
        each.want(["a.mpta"])
        eventually(each.here)
        each.want([])

    eventually(lambda: not hasty.here())
    assert patient.here() == {"a.mpta"}
    patient.want(["a.mpta"])
    assert patient.packages.get(PipelineId("a.mpta")) is not None
    assert patient.loads == ["a"]


def test_beyond_the_memory_the_longest_unused_goes_and_comes_back_when_it_is_asked_for(
    room: Callable[..., Room], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tasks.packages")
    tight = room({"a": MB, "b": MB, "c": MB}, model_memory_mb=2)
    a, b, c = (PipelineId(f"{name}.mpta") for name in "abc")
    for name in "abc":
        tight.write(f"{name}.mpta", name)
    tight.want([a, b])
    eventually(lambda: tight.here() == {a, b})
    tight.packages.get(b)
    tight.packages.get(a)

    tight.want([a, b, c])  # Nobody used it yet: the least recently used of all.
    eventually(lambda: "model package c.mpta: unloaded to make room" in caplog.text)
    assert tight.here() == {a, b}

    assert tight.packages.get(c) is None
    assert eventually(lambda: c in tight.here())
    assert eventually(lambda: tight.here() == {a, c})
    assert tight.loads.count("c") == 2


def test_what_is_at_work_stays_however_little_memory_there_is_and_that_is_said_once(
    room: Callable[..., Room], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="tasks.packages")
    tight = room({"a": 2 * MB, "b": 2 * MB}, in_work_s=60.0, model_memory_mb=3)
    for name in ("a", "b"):
        tight.write(f"{name}.mpta", name)
    tight.want(["a.mpta", "b.mpta"])
    eventually(lambda: all([tight.packages.get(PipelineId("a.mpta")), tight.packages.get(PipelineId("b.mpta"))]))

    eventually(lambda: "models take 4 MB, which is more than 3 MB; all are at work" in caplog.text)
    for _ in range(50):
        assert tight.packages.get(PipelineId("a.mpta")) is not None
        assert tight.packages.get(PipelineId("b.mpta")) is not None
    assert caplog.text.count("all are at work") == 1


def test_weights_that_two_packages_share_count_once(room: Callable[..., Room]) -> None:
    tight = room({"a/1": 2 * MB, "a/2": 2 * MB}, model_memory_mb=3)
    for name in ("a/1", "a/2"):
        tight.write(f"{name[2]}.mpta", name)

    tight.want(["1.mpta", "2.mpta"])

    assert eventually(lambda: tight.here() == {"1.mpta", "2.mpta"})
    assert sorted(tight.loads) == ["a/1", "a/2"]


def test_several_addresses_are_asked_at_once(room: Callable[..., Room], shop: Shop) -> None:
    shop.body, serve = b"a", shop._serve
    together = threading.Barrier(3)

    def wait_for_all(ask: object) -> None:
        together.wait(10)
        serve(ask)  # type: ignore[arg-type]

    shop.misbehave = wait_for_all
    base = f"http://127.0.0.1:{shop.port}"
    wide = room({"a": MB}, model_refresh_seconds=60)
    wide.want([f"{base}/{i}.mpta" for i in range(3)])

    assert eventually(lambda: len(wide.here()) == 3)


def test_a_package_that_cannot_be_had_is_tried_again_until_it_can(room: Callable[..., Room], shop: Shop) -> None:
    shop.status, shop.body = 503, b"a"
    url = PipelineId(shop.url)
    poor = room({"a": MB})
    poor.want([shop.url])
    eventually(lambda: len(shop.answers) >= 3)

    [trouble] = poor.packages.troubles(url)
    assert (trouble.code, trouble.about) == ("model_unavailable", "")
    assert "503" in trouble.text
    shop.status = 200

    assert eventually(lambda: poor.packages.get(url))
    assert poor.packages.troubles(url) == []
    assert poor.ready == [url]


def test_content_that_is_no_package_is_not_opened_again(room: Callable[..., Room]) -> None:
    poor = room({"a": MB})
    poor.write("a.mpta", "bad")
    poor.want(["a.mpta"])
    eventually(lambda: poor.packages.troubles(PipelineId("a.mpta")))
    looks = time.monotonic() + 0.5
    eventually(lambda: time.monotonic() > looks)

    assert poor.loads == ["bad"]


def test_two_packages_of_one_name_are_told_apart(room: Callable[..., Room], tmp_path: Path) -> None:
    both = room({"a": MB})
    (tmp_path / "sub").mkdir()
    both.write("a.mpta", "a")
    both.write("sub/a.mpta", "a")
    both.want(["a.mpta", "sub/a.mpta"])

    eventually(lambda: len(both.here()) == 2)
    assert both.packages.versions == dict.fromkeys(
        ("a.mpta (a.mpta)", "a.mpta (sub/a.mpta)"), hashlib.sha256(b"a").hexdigest()[:12]
    )
