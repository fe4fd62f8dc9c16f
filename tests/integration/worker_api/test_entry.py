"""Who may enter a gateway: tokens, web pages, and how many."""

from __future__ import annotations

import asyncio
import http.client
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import httpx
import pytest
from redis import Redis
from websockets.exceptions import InvalidStatus
from websockets.http11 import Response

from tests.integration.worker_api.gateways import CERTIFICATES, Gateway
from tests.servers import RedisServer, eventually
from worker_api import tokens
from worker_api.sockets import REQUEST_S, SPARE

OLD, NEW, WRONG = tokens.new(), tokens.new(), tokens.new()
GUARDED = [
    "/",
    "/metrics",
    "/docs",
    "/openapi.json",
    "/asyncapi.json",
    "/camera/d1;c1/image",
    "/camera/d1%3Bc1/image",
    "/nowhere",
]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def count(metrics: str, name: str) -> float:
    return next(float(line.split()[1]) for line in metrics.splitlines() if line.startswith(f"{name} "))


def refusal(gateway: Gateway, **options: Any) -> Response:
    """Return how a CMS is refused before the upgrade."""
    with pytest.raises(InvalidStatus) as caught, gateway.cms(**options):
        pass
    return caught.value.response


@pytest.fixture(scope="module")
def guarded(server: RedisServer) -> Iterator[Gateway]:
    """A gateway that wants one of two tokens."""
    entries = f"{tokens.entry('old', OLD)},{tokens.entry('new', NEW)}"
    with Gateway(state_url=server.url, tokens=entries, log_level="DEBUG") as running:
        _ = running.port
        yield running


async def answers(gateway: Gateway) -> dict[str, httpx.Response]:
    """Return what everybody who has no valid token is told; at once, since each answer takes its time."""
    wrong = [bearer(WRONG), {"Authorization": f"Basic {NEW}"}, {"Authorization": NEW}]
    async with httpx.AsyncClient(base_url=gateway.http) as client:
        asked = {path: client.get(path) for path in GUARDED}
        asked |= {str(headers): client.get("/metrics", headers=headers) for headers in wrong}
        asked |= {name: client.get("/metrics", params={name: NEW}) for name in ("token", "access_token", "bearer")}
        asked |= {"HEAD": client.head("/camera/d1;c1/image"), "POST": client.post("/metrics")}
        return dict(zip(asked, await asyncio.gather(*asked.values()), strict=True))


def test_without_a_valid_token_nothing_is_there(guarded: Gateway) -> None:
    for asked, answer in asyncio.run(answers(guarded)).items():
        assert answer.status_code == 401, asked
        assert answer.headers["www-authenticate"] == "Bearer"
        assert asked == "HEAD" or set(answer.json()) == {"detail"}


def test_a_cms_without_a_valid_token_is_refused_before_the_upgrade_and_not_told_what_was_wrong(
    guarded: Gateway,
) -> None:
    ways: list[dict[str, Any]] = [
        {},
        {"additional_headers": bearer(WRONG)},
        {"subprotocols": ["detector", f"bearer.{WRONG}"]},
    ]

    refusals = [refusal(guarded, **options) for options in ways]

    assert [each.status_code for each in refusals] == [401, 401, 401]
    assert [each.headers["www-authenticate"] for each in refusals] == ["Bearer"] * 3
    assert len({bytes(each.body or b"") for each in refusals}) == 1


@pytest.mark.parametrize("token", [OLD, NEW], ids=["old", "new"])
def test_each_of_the_tokens_opens_everything(guarded: Gateway, token: str) -> None:
    found = {path: httpx.get(f"{guarded.http}{path}", headers=bearer(token)).status_code for path in GUARDED}

    assert {path: status for path, status in found.items() if status != 200} == {
        "/camera/d1;c1/image": 404,
        "/camera/d1%3Bc1/image": 404,
        "/nowhere": 404,
    }
    with guarded.cms(additional_headers=bearer(token)) as cms:
        assert cms.receive()["type"] == "stateReport"
    with guarded.cms(subprotocols=["detector", f"bearer.{token}"]) as cms:
        assert cms.socket.subprotocol == "detector"
        assert cms.receive()["type"] == "stateReport"


def test_probes_need_no_token_and_tell_no_details_without_one(guarded: Gateway, redis: Redis) -> None:
    assert redis.dbsize() >= 0
    assert httpx.get(f"{guarded.http}/health").json() == {"status": "ok"}

    for headers in ({}, bearer(WRONG)):
        answer = httpx.get(f"{guarded.http}/ready", headers=headers)
        assert (answer.status_code, answer.json()["detail"].partition(";")[0]) == (503, "not ready")
    reason = httpx.get(f"{guarded.http}/ready", headers=bearer(NEW)).json()["detail"]

    assert "capture" in reason or "Redis" in reason


def test_the_schema_says_what_needs_a_token(guarded: Gateway, gateway: Gateway) -> None:
    paths = httpx.get(f"{guarded.http}/openapi.json", headers=bearer(NEW)).json()["paths"]

    secured = {path for path, methods in paths.items() if "security" in methods["get"]}
    assert secured == {path for path, methods in paths.items() if "401" in methods["get"]["responses"]}
    assert secured == set(paths) - {"/health", "/ready"}
    assert "security" not in httpx.get(f"{gateway.http}/openapi.json").json()["paths"]["/metrics"]["get"]


def test_refusals_are_counted_told_at_a_bounded_rate_and_no_token_is_ever_told(guarded: Gateway) -> None:
    counter = "detector_gateway_refused_token_total"
    before = count(httpx.get(f"{guarded.http}/metrics", headers=bearer(NEW)).text, counter)
    told = guarded.log.count("entry refused")

    refused = len(asyncio.run(answers(guarded)))
    refusal(guarded, subprotocols=["detector", f"bearer.{WRONG}"])

    after = httpx.get(f"{guarded.http}/metrics", headers=bearer(NEW)).text
    assert count(after, counter) == before + refused + 1
    assert guarded.log.count("entry refused") <= told + 1
    assert "127.0.0.1: no valid token" in guarded.log
    assert "enters with the token new" in guarded.log
    for token in (OLD, NEW, WRONG):
        assert token not in guarded.log


def test_a_wrong_token_waits_and_a_right_one_does_not(guarded: Gateway) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port)) as guess:
        guess.sendall(f"GET /metrics HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {WRONG}\r\n\r\n".encode())
        for _ in range(3):
            assert httpx.get(f"{guarded.http}/metrics", headers=bearer(NEW)).status_code == 200

        assert select.select([guess], [], [], 0) == ([], [], [])
        assert guess.recv(12) == b"HTTP/1.1 401"


def test_pages_of_other_origins_are_refused_unless_they_are_listed(gateway: Gateway, server: RedisServer) -> None:
    answer = refusal(gateway, origin="https://cms.example")
    assert answer.status_code == 403
    assert b"DETECTOR_ORIGINS" in bytes(answer.body or b"")
    with gateway.cms(origin=gateway.http) as cms:
        assert cms.receive()["type"] == "stateReport"

    with Gateway(state_url=server.url, origins="https://cms.example", tokens=tokens.entry("new", NEW)) as listed:
        with listed.cms(origin="https://cms.example", subprotocols=["detector", f"bearer.{NEW}"]) as cms:
            assert cms.receive()["type"] == "stateReport"
        assert refusal(listed, origin=listed.http, additional_headers=bearer(NEW)).status_code == 403
        for origin, may in (("https://cms.example", True), ("https://evil.example", False)):
            asks = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
            preflight = httpx.options(f"{listed.http}/camera/a;b/image", headers={"Origin": origin, **asks})
            assert preflight.is_success is may
            read = httpx.get(f"{listed.http}/metrics", headers={"Origin": origin, **bearer(NEW)})
            assert read.headers.get("access-control-allow-origin") == (origin if may else None)


def test_one_connection_more_than_allowed_is_refused_until_another_ends(server: RedisServer) -> None:
    with Gateway(state_url=server.url, max_connections=2) as small, ExitStack() as others:
        others.enter_context(small.cms())
        with small.cms():
            answer = refusal(small)
            assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
            assert b"as many connections as it may" in bytes(answer.body or b"")
            assert httpx.get(f"{small.http}/health").is_success
            assert count(httpx.get(f"{small.http}/metrics").text, "detector_gateway_refused_full_total") == 1

        def enters() -> bool:
            try:
                others.enter_context(small.cms())
            except InvalidStatus:
                return False
            return True

        assert eventually(enters)


def test_sockets_that_say_nothing_are_few_and_borne_for_a_while_only(server: RedisServer) -> None:
    pair = {"tls_cert": CERTIFICATES / "first.pem", "tls_key": CERTIFICATES / "first-key.pem"}
    request = b"GET /health HTTP/1.1\r\nHost: x\r\n"
    with Gateway(state_url=server.url, max_connections=1) as small, ExitStack() as opened:

        def connected(gateway: Gateway = small) -> socket.socket:
            made = socket.create_connection(("127.0.0.1", gateway.port), timeout=REQUEST_S)
            return opened.enter_context(made)

        def asks() -> socket.socket:
            kept.request("GET", "/health")
            assert kept.getresponse().read()
            return kept.sock

        kept = http.client.HTTPConnection("127.0.0.1", small.port)
        over_tls = opened.enter_context(Gateway(state_url=server.url, **pair))
        _ = over_tls.port
        opened.callback(kept.close)
        first = asks()
        silent, half, again, slow, before_tls = connected(), connected(), connected(), connected(), connected(over_tls)
        half.sendall(request)
        again.sendall(request + b"\r\n" + request)
        slow.sendall(request + b"Content-Length: 100\r\n\r\nbody")
        for each in (again, slow):
            assert each.recv(4096).startswith(b"HTTP/1.1 200")
        cms = opened.enter_context(small.cms())
        for _ in range(SPARE - 5):
            connected()
        assert connected().recv(12) == b"HTTP/1.1 503"

        waiting, until_s = {silent, half, again, slow, before_tls}, time.monotonic() + 2 * REQUEST_S
        while waiting:
            asks()
            waiting -= {each for each in select.select(waiting, [], [], 0.5)[0] if not each.recv(4096)}
            assert time.monotonic() < until_s
        # Who does ask is borne for longer.
        assert asks() is first
        assert cms.report()["type"] == "stateReport"


@pytest.mark.parametrize(("settings", "warned"), [({}, True), ({"tokens": tokens.entry("new", NEW)}, False)])
def test_a_gateway_that_is_open_to_everybody_says_so(
    server: RedisServer, settings: dict[str, Any], warned: bool
) -> None:
    with Gateway(state_url=server.url, host="0.0.0.0", **settings) as public:
        _ = public.port
        with public.cms(additional_headers=bearer(NEW)):
            assert (public.log.count("OPEN TO EVERYBODY") == 1) is warned
            assert ("sent in clear" in public.log) is not warned
