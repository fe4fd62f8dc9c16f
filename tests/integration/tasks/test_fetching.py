"""Fetching packages from a real HTTP server that may be away, wrong, or too generous."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from contract.settings import Settings
from tasks.fetching import PackageUnavailable, fetch


class Shop:
    """Serves one package, as told."""

    def __init__(self) -> None:
        self.body, self.status, self.tag = b"first", 200, '"1"'
        self.answers: list[int] = []
        shop = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                same = self.headers.get("If-None-Match") == shop.tag and shop.status == 200
                status = 304 if same else shop.status
                shop.answers.append(status)
                self.send_response(status)
                self.send_header("ETag", shop.tag)
                self.send_header("Content-Length", "0" if same else str(len(shop.body)))
                self.end_headers()
                if not same:
                    self.wfile.write(shop.body)

            def log_message(self, *_: object) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://user:secret@127.0.0.1:{self._server.server_address[1]}/models/m.mpta"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Close for good."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def shop() -> Iterator[Shop]:
    opened = Shop()
    yield opened
    opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data", model_dirs=(tmp_path,), model_max_mb=1)


def test_an_unchanged_package_is_not_sent_twice_and_a_changed_one_is(shop: Shop, settings: Settings) -> None:
    assert fetch(shop.url, settings).read_bytes() == b"first"
    assert fetch(shop.url, settings).read_bytes() == b"first"
    shop.body, shop.tag = b"second", '"2"'
    assert fetch(shop.url, settings).read_bytes() == b"second"

    assert shop.answers == [200, 304, 200]


def test_a_404_is_said_as_one(shop: Shop, settings: Settings) -> None:
    shop.status = 404

    with pytest.raises(PackageUnavailable, match="answered 404 Not Found") as caught:
        fetch(shop.url, settings)
    assert "secret" not in str(caught.value)


def test_while_its_server_is_away_the_kept_package_serves_on(shop: Shop, settings: Settings) -> None:
    fetch(shop.url, settings)
    shop.close()

    assert fetch(shop.url, settings).read_bytes() == b"first"


def test_a_server_that_nobody_runs_is_said_in_words(settings: Settings) -> None:
    with pytest.raises(PackageUnavailable, match="did not answer"):
        fetch("http://127.0.0.1:9/m.mpta", settings)


def test_a_package_beyond_the_limit_is_refused_and_leaves_nothing(shop: Shop, settings: Settings) -> None:
    shop.body = bytes(1_100_000)

    with pytest.raises(PackageUnavailable, match="larger than 1 MB"):
        fetch(shop.url, settings)
    assert not [p for p in settings.data_dir.rglob("*") if p.is_file() and p.stat().st_size > 100]


def test_a_file_is_taken_from_the_model_folder_alone(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "m.mpta").write_bytes(b"here")

    assert fetch("m.mpta", settings).read_bytes() == b"here"
    with pytest.raises(PackageUnavailable, match=r"no model package 'other\.mpta'"):
        fetch("other.mpta", settings)
