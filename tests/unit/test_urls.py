"""`contract.urls`: addresses without their secrets, and files without the rest of the disk."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contract.errors import UrlRefused
from contract.urls import credentials_of, join_credentials, local_path, redact, split_credentials, user_and_password


@pytest.mark.parametrize(
    ("url", "bare", "credentials"),
    [
        ("rtsp://host/stream", "rtsp://host/stream", ""),
        ("rtsp://admin:geheim@host:554/s?x=1", "rtsp://host:554/s?x=1", "admin:geheim"),
        ("http://a%40b:p%3Aw@[::1]:80/", "http://[::1]:80/", "a%40b:p%3Aw"),
        ("rtsp://user@host/", "rtsp://host/", "user"),
    ],
)
def test_credentials_leave_and_return_as_they_were(url: str, bare: str, credentials: str) -> None:
    assert split_credentials(url) == (bare, credentials)
    assert join_credentials(bare, credentials) == url


@given(st.text(min_size=1), st.text())
def test_any_user_and_password_survive_a_url(user: str, password: str) -> None:
    url = join_credentials("rtsp://host/", credentials_of(user, password))

    assert user_and_password(split_credentials(url)[1]) == (user, password)


def test_what_is_logged_carries_no_password() -> None:
    text = "cannot open 'rtsp://admin:geheim@10.0.0.1/live': retry; redis://:se@cret@127.0.0.1:1/0 away"

    assert redact(text) == "cannot open 'rtsp://***@10.0.0.1/live': retry; redis://***@127.0.0.1:1/0 away"


def test_a_url_that_cannot_be_read_is_refused_in_words() -> None:
    with pytest.raises(UrlRefused, match="cannot be parsed"):
        split_credentials("rtsp://[half/")


def test_a_file_below_an_allowed_folder_is_found(tmp_path: Path) -> None:
    (tmp_path / "m.mpta").touch()

    for url in ("m.mpta", str(tmp_path / "m.mpta"), f"file://{tmp_path}/m.mpta", f"file://localhost{tmp_path}/m.mpta"):
        assert local_path(url, [tmp_path]) == tmp_path / "m.mpta"


@pytest.mark.parametrize("url", ["/etc/passwd", "file:///etc/passwd", "../outside", "link", "file://%2e%2e/outside"])
def test_a_file_elsewhere_is_refused(tmp_path: Path, url: str) -> None:
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (tmp_path / "outside").touch()
    (allowed / "link").symlink_to(tmp_path / "outside")

    with pytest.raises(UrlRefused, match="outside the directories"):
        local_path(url, [allowed])


@pytest.mark.parametrize("url", ["a" * 300, "file:///%00", "nul\0"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(UrlRefused):
        local_path(url, [tmp_path])


def test_an_address_on_the_network_is_no_file() -> None:
    assert local_path("https://host/m.mpta", [Path()]) is None
