"""Fetching packages from a real HTTP server that may be away, wrong, slow, or too generous."""

from __future__ import annotations

import hashlib
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from contract.settings import Settings
from tasks.downloading import Download, PackageUnavailable
from tasks.fetching import Fetched, Fetcher
from tasks.store import Store
from tests.integration.tasks.shop import Ask, Shop, shops

shop = pytest.fixture(shops)
BODY = bytes(range(256)) * 2000


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        data_dir=tmp_path / "data", model_dirs=(tmp_path / "models",), model_max_mb=1, model_refresh_seconds=1e-6
    )


@pytest.fixture
def store(settings: Settings) -> Store:
    return Store.of(settings)


@pytest.fixture
def fetcher(settings: Settings, store: Store) -> Fetcher:
    return Fetcher(settings, store)


def content(found: Fetched) -> bytes:
    assert found.content == hashlib.sha256(found.path.read_bytes()).hexdigest()
    return found.path.read_bytes()


def test_an_unchanged_package_is_not_sent_twice_and_a_changed_one_is(shop: Shop, fetcher: Fetcher) -> None:
    assert content(fetcher.fetch(shop.url)) == b"first"
    assert content(fetcher.fetch(shop.url)) == b"first"
    shop.body, shop.tag = b"second", '"2"'
    assert content(fetcher.fetch(shop.url)) == b"second"

    assert shop.answers == [200, 304, 200]


def test_a_server_that_knows_dates_alone_is_asked_with_its_date(shop: Shop, fetcher: Fetcher) -> None:
    shop.tag, shop.modified = "", "Sat, 21 Nov 2026 10:00:00 GMT"

    fetcher.fetch(shop.url)
    fetcher.fetch(shop.url)

    assert shop.asked[1] == (None, shop.modified)
    assert shop.answers == [200, 304]


def test_a_server_that_was_just_asked_is_left_alone(shop: Shop, settings: Settings, store: Store) -> None:
    for _ in range(2):
        patient = Fetcher(settings.model_copy(update={"model_refresh_seconds": 60.0}), store)
        assert content(patient.fetch(shop.url)) == b"first"

    assert shop.answers == [200]


def test_a_404_is_said_as_one(shop: Shop, fetcher: Fetcher) -> None:
    shop.status = 404

    with pytest.raises(PackageUnavailable, match="answered 404 Not Found") as caught:
        fetcher.fetch(shop.url)
    assert "secret" not in str(caught.value)


def test_while_its_server_is_away_the_kept_package_serves_on_which_is_logged_once(
    shop: Shop, fetcher: Fetcher, caplog: pytest.LogCaptureFixture
) -> None:
    fetcher.fetch(shop.url)
    shop.close()

    assert content(fetcher.fetch(shop.url)) == b"first"
    assert content(fetcher.fetch(shop.url)) == b"first"

    [record] = caplog.records
    assert record.getMessage().startswith("model package m.mpta: not given by its server (the model server did not")


def test_a_server_that_nobody_runs_is_said_in_words(fetcher: Fetcher) -> None:
    with pytest.raises(PackageUnavailable, match="did not answer"):
        fetcher.fetch("http://127.0.0.1:9/m.mpta")


def test_credentials_reach_the_server_and_neither_the_log_nor_a_file_name(
    shop: Shop, fetcher: Fetcher, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="tasks")
    fetcher.fetch(shop.url)

    assert shop.credentials == ["Basic dXNlcjpzZWNyZXQ="]
    kept = list(settings.data_dir.rglob("*"))
    assert not [path for path in kept if "secret" in path.name]
    assert not [path for path in kept if path.is_file() and b"secret" in path.read_bytes()]
    assert "secret" not in caplog.text


def test_a_download_that_breaks_off_goes_on_where_it_was(shop: Shop, fetcher: Fetcher) -> None:
    shop.body, shop.cuts = BODY, [200_000, 100_000]

    assert content(fetcher.fetch(shop.url)) == BODY

    assert [asked for asked, _ in shop.asked] == [None, "bytes=200000-", "bytes=300000-"]
    assert shop.answers == [200, 206, 206]


def test_a_download_goes_on_after_its_process_ended(shop: Shop, settings: Settings, store: Store) -> None:
    shop.body, shop.cuts = BODY, [200_000, 0]
    with pytest.raises(PackageUnavailable):
        Fetcher(settings, store).fetch(shop.url)

    assert content(Fetcher(settings, Store.of(settings)).fetch(shop.url)) == BODY

    assert shop.asked[-1][0] == "bytes=200000-"


def test_what_changed_meanwhile_is_fetched_from_its_start(shop: Shop, fetcher: Fetcher) -> None:
    shop.body, shop.cuts = BODY, [200_000, 0]
    with pytest.raises(PackageUnavailable):
        fetcher.fetch(shop.url)
    shop.body, shop.tag = BODY[::-1], '"2"'

    assert content(fetcher.fetch(shop.url)) == BODY[::-1]

    assert shop.answers[-1] == 200


@pytest.mark.parametrize("tag", ['W/"1"', ""])
def test_without_a_strong_validator_nothing_is_resumed(shop: Shop, fetcher: Fetcher, tag: str) -> None:
    shop.body, shop.cuts, shop.tag = BODY, [200_000], tag
    with pytest.raises(PackageUnavailable, match="did not answer"):
        fetcher.fetch(shop.url)

    assert content(fetcher.fetch(shop.url)) == BODY

    assert [asked for asked, _ in shop.asked] == [None, None]


def test_a_server_that_gives_the_wrong_part_is_not_believed(shop: Shop, fetcher: Fetcher) -> None:
    shop.body, shop.cuts = BODY, [200_000]

    def wrong_part(ask: Ask) -> None:
        shop.misbehave = None
        ask.send_response(206)
        ask.send_header("ETag", shop.tag)
        ask.send_header("Content-Range", f"bytes 100-{len(BODY) - 1}/{len(BODY)}")
        ask.end_headers()
        ask.wfile.write(BODY[100:])

    serve = shop._serve

    def first_well(ask: Ask) -> None:
        shop.misbehave = wrong_part
        serve(ask)

    shop.misbehave = first_well
    with pytest.raises(PackageUnavailable, match="part that was not asked for"):
        fetcher.fetch(shop.url)
    assert content(fetcher.fetch(shop.url)) == BODY


def test_a_package_beyond_the_limit_is_refused_and_leaves_nothing(
    shop: Shop, fetcher: Fetcher, settings: Settings
) -> None:
    shop.body = bytes(1_100_000)

    with pytest.raises(PackageUnavailable, match="larger than 1 MB"):
        fetcher.fetch(shop.url)
    assert not [p for p in settings.data_dir.rglob("*") if p.is_file() and p.stat().st_size > 100]


def test_a_length_beyond_the_limit_is_refused_before_anything_is_read(shop: Shop, fetcher: Fetcher) -> None:
    released = threading.Event()

    def promise(ask: Ask) -> None:
        ask.send_response(200)
        ask.send_header("Content-Length", "5000000000")
        ask.end_headers()
        released.wait(30)

    shop.misbehave = promise
    with pytest.raises(PackageUnavailable, match="larger than 1 MB"):
        fetcher.fetch(shop.url)
    released.set()


def test_a_body_that_is_longer_than_a_server_admits_is_refused(shop: Shop, fetcher: Fetcher) -> None:
    def no_length(ask: Ask) -> None:
        ask.send_response(200)
        ask.end_headers()
        for _ in range(50):
            ask.wfile.write(bytes(100_000))

    shop.misbehave = no_length
    with pytest.raises(PackageUnavailable, match="larger than 1 MB"):
        fetcher.fetch(shop.url)


def test_a_redirect_is_followed_and_a_circle_of_them_is_not(shop: Shop, fetcher: Fetcher) -> None:
    def elsewhere(ask: Ask) -> None:
        if ask.path.endswith("moved.mpta"):
            shop._serve(ask)
            return
        ask.send_response(302)
        ask.send_header("Location", "/moved.mpta" if shop.tag else ask.path)
        ask.end_headers()

    shop.misbehave = elsewhere
    assert content(fetcher.fetch(shop.url)) == b"first"

    shop.tag = ""
    with pytest.raises(PackageUnavailable, match="redirected more than 5 times"):
        fetcher.fetch(shop.url.replace("m.mpta", "other.mpta"))
    assert len(shop.asked) <= 2 + 6


@pytest.mark.parametrize("part", ["headers", "body"])
def test_a_server_that_drips_is_left_when_the_time_is_over(
    part: str, shop: Shop, settings: Settings, store: Store
) -> None:
    over = threading.Event()

    def drip(ask: Ask) -> None:
        ask.wfile.write(b"HTTP/1.0 200 OK\r\n" + (b"\r\n" if part == "body" else b""))
        while not over.wait(0.02):
            ask.wfile.write(b"x")

    shop.misbehave = drip
    hasty = Fetcher(settings.model_copy(update={"model_fetch_seconds": 0.5}), store)
    with pytest.raises(PackageUnavailable, match=r"longer than 0\.5 s"):
        hasty.fetch(shop.url)
    over.set()


def test_a_host_that_is_not_allowed_is_not_asked_even_after_a_redirect(
    shop: Shop, settings: Settings, store: Store
) -> None:
    strict = Fetcher(settings.model_copy(update={"model_hosts": ("127.0.0.2",)}), store)

    with pytest.raises(PackageUnavailable, match="DETECTOR_MODEL_HOSTS"):
        strict.fetch(shop.url)
    assert shop.asked == []


def test_progress_is_logged_by_name_and_size(
    shop: Shop, settings: Settings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop.body = BODY
    caplog.set_level(logging.INFO, logger="tasks.downloading")
    download = Download(
        url=shop.url,
        name="m.mpta",
        part=tmp_path / "m.part",
        known=None,
        allowed=settings.allowed_models,
        max_mb=1,
        within_s=10.0,
    )

    replace(download, progress_s=0.0).run()

    assert "model package m.mpta: 0.5 of 0.5 MB, " in caplog.text
    assert "secret" not in caplog.text


def test_a_damaged_copy_is_noticed_and_fetched_anew(shop: Shop, fetcher: Fetcher) -> None:
    path = fetcher.fetch(shop.url).path
    path.write_bytes(b"firsT")

    assert content(fetcher.fetch(shop.url)) == b"first"
    assert shop.answers == [200, 200]


FETCH = """
import sys
from contract.settings import Settings
from tasks.fetching import Fetcher
from tasks.store import Store
settings = Settings()
print("ready", flush=True)
sys.stdin.readline()
print(Fetcher(settings, Store.of(settings)).fetch(sys.argv[1]).path.read_bytes().decode())
"""


def test_two_processes_that_want_the_same_download_it_once(shop: Shop, tmp_path: Path) -> None:
    env = {**os.environ, "DETECTOR_DATA_DIR": str(tmp_path), "DETECTOR_MODEL_REFRESH_SECONDS": "60"}
    asking, both = threading.Semaphore(0), threading.Event()
    serve = shop._serve

    def wait_for_both(ask: Ask) -> None:
        asking.release()
        both.wait(10)
        serve(ask)

    shop.misbehave = wait_for_both
    command = [sys.executable, "-c", FETCH, shop.url]
    workers = [subprocess.Popen(command, env=env, text=True, stdin=-1, stdout=-1) for _ in range(2)]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("\n")
        worker.stdin.flush()
    assert asking.acquire(timeout=10)
    assert not asking.acquire(timeout=0.5)  # The other one waits for the first, and does not ask.
    both.set()

    assert [worker.communicate(timeout=20)[0] for worker in workers] == ["first\n", "first\n"]
    assert shop.answers == [200]


@pytest.fixture
def write(settings: Settings) -> Callable[[bytes], Path]:
    """Writes m.mpta among the models, each time as if that had been minutes ago."""
    [folder] = settings.model_dirs
    folder.mkdir()
    minutes = count(int(time.time()) - 6000, 60)

    def written(body: bytes) -> Path:
        path = folder / "m.mpta"
        path.write_bytes(body)
        moment = next(minutes)
        os.utime(path, (moment, moment))
        return path

    return written


def test_a_file_is_read_in_its_place_and_a_change_is_seen(write: Callable[[bytes], Path], fetcher: Fetcher) -> None:
    path = write(b"here")

    first = fetcher.fetch("m.mpta")
    write(b"mine")  # As long as before.
    second = fetcher.fetch("m.mpta", first.content)
    write(b"mine")

    assert first.path == path
    assert content(second) == b"mine"
    assert first.content != second.content
    assert fetcher.fetch("m.mpta", second.content).content == second.content


def test_a_file_that_is_still_being_written_is_left_until_it_is_whole(
    write: Callable[[bytes], Path], fetcher: Fetcher
) -> None:
    path = write(b"here")
    first = fetcher.fetch("m.mpta")

    path.write_bytes(b"half")
    assert fetcher.fetch("m.mpta", first.content).content == first.content
    write(b"half and half")
    assert content(fetcher.fetch("m.mpta", first.content)) == b"half and half"


def test_a_folder_with_a_changed_file_is_another_version(settings: Settings, fetcher: Fetcher) -> None:
    folder = settings.model_dirs[0] / "m"
    folder.mkdir(parents=True)
    (folder / "pipeline.json").write_text("{}")
    first = fetcher.fetch("m")
    os.utime(folder / "pipeline.json", (1, 1))

    assert fetcher.fetch("m", first.content).content != first.content


def test_a_file_is_taken_from_the_model_folder_alone(
    write: Callable[[bytes], Path], fetcher: Fetcher, tmp_path: Path
) -> None:
    path = write(b"here")
    (tmp_path / "outside.mpta").write_bytes(b"secret")
    path.with_name("link.mpta").symlink_to(tmp_path / "outside.mpta")

    assert content(fetcher.fetch(path.as_uri())) == b"here"
    with pytest.raises(PackageUnavailable, match=r"no model package 'other\.mpta'"):
        fetcher.fetch("other.mpta")
    for outside in ("link.mpta", "../outside.mpta", (tmp_path / "outside.mpta").as_uri()):
        with pytest.raises(PackageUnavailable, match="not allowed"):
            fetcher.fetch(outside)
