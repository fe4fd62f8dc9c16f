"""The page that shows pictures: to this machine, to whoever was told its address, to nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

import httpx
import pytest

from cli.packages.page import Page


@pytest.fixture
def page() -> Iterator[Page]:
    with Page() as page:
        yield page


def test_a_browser_gets_each_picture_whole(page: Page) -> None:
    page.put(b"first")
    with httpx.stream("GET", f"{page.url}pictures", trust_env=False) as response:
        chunks, seen = response.iter_raw(), b""
        while b"first\r\n" not in seen:
            seen += next(chunks)
        page.put(b"second")
        while b"second\r\n" not in seen:
            seen += next(chunks)

    assert response.headers["content-type"] == "multipart/x-mixed-replace; boundary=picture"
    assert seen == (
        b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: 5\r\n\r\nfirst\r\n"
        b"--picture\r\nContent-Type: image/jpeg\r\nContent-Length: 6\r\n\r\nsecond\r\n"
    )


def test_the_page_holds_the_pictures(page: Page) -> None:
    assert '<img src="pictures"' in httpx.get(page.url, trust_env=False).text


def test_who_does_not_know_the_address_gets_nothing(page: Page) -> None:
    root = f"http://{urlsplit(page.url).netloc}"

    assert [httpx.get(f"{root}{path}", trust_env=False).status_code for path in ("/", "/pictures", "/x/")] == [404] * 3


def test_another_sites_name_for_this_machine_is_refused(page: Page) -> None:
    assert httpx.get(page.url, headers={"Host": "evil.example"}, trust_env=False).status_code == 403
