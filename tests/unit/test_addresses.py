"""`contract.addresses`: where a URL may lead."""

from __future__ import annotations

import socket

import pytest

from contract.addresses import Allowed
from contract.errors import UrlRefused

METADATA = [
    "169.254.169.254",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "[2002:a9fe:a9fe::1]",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "169.254.43518",
    "[fe80::1%25eth0]",
    "[fd00:ec2::254]",
    "100.100.100.200",
    "168.63.129.16",
]


def allowed(*entries: str) -> Allowed:
    return Allowed.of(entries, "DETECTOR_CAMERA_HOSTS")


def taken(host: str, *entries: str) -> bool:
    """Whether a URL with this host is taken where `entries` are listed."""
    try:
        allowed(*entries).check(f"http://{host}:80/x")
    except UrlRefused:
        return False
    return True


@pytest.mark.parametrize("host", ["camera", "10.0.0.1", "127.0.0.1", "8.8.8.8", "[::1]", "[2001:db8::1]"])
def test_with_nothing_listed_cameras_are_wherever_they_are(host: str) -> None:
    assert taken(host)


@pytest.mark.parametrize("host", METADATA)
def test_what_gives_away_a_machines_credentials_is_refused_in_every_spelling(host: str) -> None:
    assert not taken(host)
    assert not taken(host, "camera", "10.0.0.0/8")


def test_a_link_local_camera_can_be_listed() -> None:
    assert taken("169.254.7.8", "169.254.0.0/16")
    assert taken("[fe80::1]", "fe80::/10")


@pytest.mark.parametrize(
    ("host", "entry", "expected"),
    [
        ("cam.example", "cam.example", True),
        ("CAM.example.", "cam.EXAMPLE", True),
        ("other.example", "cam.example", False),
        ("cam.example.evil", "cam.example", False),
        ("example", ".example", True),
        ("a.b.example", ".example", True),
        ("notexample", ".example", False),
        ("example", "*.example", False),
        ("a.example", "*.example", True),
        ("10.1.2.3", "10.0.0.0/8", True),
        ("11.1.2.3", "10.0.0.0/8", False),
        ("[::ffff:10.1.2.3]", "10.0.0.0/8", True),
        ("167838211", "10.0.0.0/8", True),
        ("10.1.2.3", "10.1.2.3", True),
        ("10.1.2.4", "10.1.2.3", False),
        ("[2001:db8::5]", "2001:db8::/32", True),
        ("[2001:db9::5]", "2001:db8::/32", False),
        ("10.1.2.3", "cam.example", False),
    ],
)
def test_a_host_is_taken_by_name_suffix_address_or_network(host: str, entry: str, expected: bool) -> None:
    assert taken(host, entry) is expected


def test_a_name_that_is_not_listed_is_left_to_its_addresses_where_networks_are() -> None:
    assert taken("cam.example", "10.0.0.0/8")


@pytest.mark.parametrize("entry", ["http://cam", "10.0.0.1/8", "10.0.0.0/99", "cam:554", "*", "a b", "cam/x", "-"])
def test_what_is_no_host_cannot_be_listed(entry: str) -> None:
    with pytest.raises(ValueError, match="is no"):
        allowed(entry)


def test_the_refusal_says_what_to_do() -> None:
    with pytest.raises(UrlRefused, match="listed in DETECTOR_CAMERA_HOSTS"):
        allowed("a").check("rtsp://b/")


def test_a_host_leads_to_those_of_its_addresses_that_are_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    found = ["192.168.0.1", "10.0.0.1", "169.254.169.254", "10.0.0.2"]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [(0, 0, 0, "", (each, 80)) for each in found])

    assert allowed("10.0.0.0/8").resolve("cam.example", 80) == ["10.0.0.1", "10.0.0.2"]
    assert allowed().resolve("cam.example", 80) == ["192.168.0.1", "10.0.0.1", "10.0.0.2"]
    assert allowed("cam.example").resolve("cam.example", 80) == ["192.168.0.1", "10.0.0.1", "10.0.0.2"]
    with pytest.raises(UrlRefused):
        allowed("other.example").resolve("cam.example", 80)
    with pytest.raises(UrlRefused):
        allowed("11.0.0.0/8").resolve("cam.example", 80)


def test_an_old_spelling_that_only_the_resolver_understands_is_refused_when_connecting() -> None:
    with pytest.raises(UrlRefused):
        allowed().resolve("2852039166", 80)
