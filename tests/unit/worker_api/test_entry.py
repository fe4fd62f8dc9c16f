"""Tokens, origins, warnings: what decides who may enter, without a gateway around it."""

from __future__ import annotations

import pytest

from contract.settings import Settings
from worker_api import exposure, tokens
from worker_api.origins import Origins
from worker_api.tokens import Tokens


def test_a_token_is_recognised_by_its_hash_and_by_nothing_less() -> None:
    old, new = tokens.new(), tokens.new()
    known = Tokens([tokens.entry("old", old), tokens.entry("new", new)])

    assert (known.name_of(old), known.name_of(new)) == ("old", "new")
    assert [known.name_of(each) for each in ("", tokens.new(), old[:-1], tokens.entry("old", old))] == [None] * 4
    assert old not in tokens.entry("old", old)


def test_tokens_have_256_random_bits() -> None:
    made = {tokens.new() for _ in range(100)}

    assert len(made) == 100
    assert {len(each) for each in made} == {len("det_") + 43}


@pytest.mark.parametrize(
    ("authorization", "subprotocols", "expected"),
    [
        ("Bearer abc", [], "abc"),
        ("bearer  abc ", [], "abc"),
        ("Basic abc", [], ""),
        ("abc", [], ""),
        ("", ["detector", "bearer.abc"], "abc"),
        ("", ["detector"], ""),
        ("", [], ""),
    ],
)
def test_a_token_comes_in_a_header_or_among_the_subprotocols(
    authorization: str, subprotocols: list[str], expected: str
) -> None:
    assert tokens.offered(authorization, subprotocols) == expected


@pytest.mark.parametrize(
    ("origin", "host", "expected"),
    [
        ("http://127.0.0.1:8000", "127.0.0.1:8000", True),
        ("http://localhost:3000", "127.0.0.1:8000", True),
        ("http://localhost:3000", "[::1]:8000", True),
        ("http://10.0.0.5", "10.0.0.5:8000", True),
        ("http://10.0.0.6", "10.0.0.5:8000", False),
        ("http://evil.example", "127.0.0.1:8000", False),
        # Rebinding: the page's own name leads to us.
        ("http://evil.example:8000", "evil.example:8000", False),
        ("http://localhost.evil.example", "127.0.0.1:8000", False),
        ("null", "127.0.0.1:8000", False),
        ("null", "", False),
        ("http://[half", "127.0.0.1:8000", False),
        ("", "", False),
    ],
)
def test_without_a_list_pages_of_the_same_host_may_connect(origin: str, host: str, expected: bool) -> None:
    assert Origins(Settings()).may_connect(origin, host) is expected


def test_where_a_token_is_needed_anyway_a_host_name_counts_too() -> None:
    origins = Origins(Settings(tokens=(tokens.entry("a", "b"),)))

    assert origins.may_connect("https://gateway.example", "gateway.example")
    assert not origins.may_connect("https://evil.example", "gateway.example")


def test_with_a_list_only_its_pages_may_connect() -> None:
    origins = Origins(Settings(origins=("https://cms.example", "http://cms.example:8080")))

    assert origins.may_connect("https://CMS.example", "10.0.0.5")
    assert origins.may_connect("http://cms.example:8080", "10.0.0.5")
    assert not origins.may_connect("http://cms.example", "10.0.0.5")
    assert not origins.may_connect("http://127.0.0.1", "127.0.0.1")
    assert Origins(Settings(origins=("*",))).may_connect("null", "10.0.0.5")


@pytest.mark.parametrize(
    ("host", "warned"),
    [
        *(("0.0.0.0", True), ("::", True), ("10.0.0.5", True), ("gateway.example", True), ("", True)),
        *(("127.0.0.1", False), ("127.0.0.9", False), ("::1", False), ("localhost", False)),
    ],
)
def test_a_gateway_that_others_reach_and_anybody_may_enter_is_warned_of(host: str, warned: bool) -> None:
    assert bool(exposure.warning(Settings(host=host))) is warned
    assert exposure.warning(Settings(host=host, tokens=(tokens.entry("a", "b"),))) is None
