"""Who may enter: tokens, web pages and the number of connections, judged before anything else sees the request."""

from __future__ import annotations

import asyncio
import logging

from starlette.datastructures import Headers
from starlette.responses import JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from contract.settings import Settings
from worker_api.counters import Counters
from worker_api.origins import Origins
from worker_api.tokens import Tokens, offered

log = logging.getLogger(__name__)

#: Load balancers and docker ask these, and have no token; without one they are told no details.
_OPEN = frozenset({"/health", "/ready"})
#: A wrong token is answered this late: a client that tries again at once tries once a second.
_SLOW_S = 1.0
#: So many wait for that at most; their sockets would else be worth more than the guesses.
_WAITING = 64
#: A line about refusals at most this often.
_LOG_S = 10.0


class Entry:
    """ASGI: lets in who may enter, and answers everybody else.

    What passes has `entered` in its state: whether it may be told details.
    """

    def __init__(self, app: ASGIApp, settings: Settings, counters: Counters) -> None:
        self._app = app
        self._tokens = Tokens(settings.tokens)
        self._origins = Origins(settings)
        self._connections = settings.max_connections
        self._counters = counters
        self._inside = 0
        self._waiting = 0
        self._refusals = _Refusals()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Judge one request or connection."""
        if scope["type"] == "websocket":
            await self._connection(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, _hardened(send))
        else:
            await self._app(scope, receive, send)

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        entered = self._token(scope) is not None
        if not entered and scope["path"] not in _OPEN:
            await self._refuse_token(scope, receive, send)
            return
        scope.setdefault("state", {})["entered"] = entered
        await self._app(scope, receive, send)

    async def _connection(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and not self._origins.may_connect(origin, headers.get("host", "")):
            self._counters.refused_origin += 1
            self._refusals.note(scope, "a web page of an origin that may not connect")
            sentence = "web pages of this origin may not connect; DETECTOR_ORIGINS would have to list it"
            await _answer(403, sentence)(scope, receive, send)
            return
        name = self._token(scope)
        if name is None:
            await self._refuse_token(scope, receive, send)
            return
        if self._inside >= self._connections:
            self._counters.refused_full += 1
            self._refusals.note(scope, "one connection more than DETECTOR_MAX_CONNECTIONS")
            sentence = "this gateway has as many connections as it may; try again later, or another gateway"
            await _answer(503, sentence, {"Retry-After": "5"})(scope, receive, send)
            return
        if name:
            log.info("a CMS from %s enters with the token %s", peer(scope), name)
        self._inside += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._inside -= 1

    def _token(self, scope: Scope) -> str | None:
        """Return the name of the token that came along; "" when none is needed, None when it is not one of ours."""
        if not self._tokens:
            return ""
        authorization = Headers(scope=scope).get("authorization", "")
        return self._tokens.name_of(offered(authorization, scope.get("subprotocols", ())))

    async def _refuse_token(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._counters.refused_token += 1
        self._refusals.note(scope, "no valid token")
        if self._waiting < _WAITING:
            self._waiting += 1
            try:
                await asyncio.sleep(_SLOW_S)
            finally:
                self._waiting -= 1
        sentence = "a valid token is needed: send it as Authorization: Bearer TOKEN"
        await _answer(401, sentence, {"WWW-Authenticate": "Bearer"})(scope, receive, send)


class _Refusals:
    """Tells of refusals at most once per `_LOG_S`, with how many there were: a flood must not fill a disk."""

    def __init__(self) -> None:
        self._untold = 0
        self._told_s = float("-inf")

    def note(self, scope: Scope, reason: str) -> None:
        """Count one, and tell if it is time to."""
        self._untold += 1
        now_s = asyncio.get_running_loop().time()
        if now_s - self._told_s >= _LOG_S:
            log.warning("entry refused (%d since the last such line), now to %s: %s", self._untold, peer(scope), reason)
            self._untold, self._told_s = 0, now_s


def _answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> Response:
    return JSONResponse({"detail": sentence}, status, {"Cache-Control": "no-store", **(headers or {})})


def _hardened(send: Send) -> Send:
    """Return `send` with what every answer says: a browser must not take it for something else than it is named."""

    async def with_header(message: Message) -> None:
        if message["type"] == "http.response.start":
            message["headers"] = [*message.get("headers", ()), (b"x-content-type-options", b"nosniff")]
        await send(message)

    return with_header


def peer(scope: Scope) -> str:
    """Return the address that a client has, as far as we are told."""
    client = scope.get("client")
    return str(client[0]) if client else "?"
