"""One CMS connection: a reader, a writer, a heartbeat, and one task that carries changes to the registry."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import assert_never

from starlette.websockets import WebSocket, WebSocketDisconnect

from contract.problems import Code
from worker_api import liveness
from worker_api.changes import Bind, Change, Fail, Put, Remove
from worker_api.gateway import Gateway
from worker_api.limits import TokenBucket
from worker_api.messages import (
    Incoming,
    PatchResultPayload,
    PatchSessionIn,
    PatchSessionResult,
    RequestState,
    SetSessionId,
    SetSubscriptions,
    Subscribe,
    Unsubscribe,
)
from worker_api.outage import AWAY, waiting
from worker_api.protocol import Refused, Wish, parse, wish_of
from worker_api.sets import Assign

log = logging.getLogger(__name__)

HEARTBEAT_S = 2.0
#: A client that took nothing for this long is gone, whatever its network says.
_STALLED_S = 45.0
#: Changes that may wait for the state server before this connection's messages are not read on.
_CHANGES = 1000
#: A state that was asked for waits this long at most for the changes asked for before it.
_CATCH_UP_S = 0.25
_GOING_AWAY = 1001


class Connection:
    """Speaks with one CMS until it, or this process, goes."""

    def __init__(self, gateway: Gateway, websocket: WebSocket) -> None:
        self._gateway = gateway
        self._counters = gateway.counters
        self._websocket = websocket
        self._outbox = gateway.outbox(lambda: liveness.in_doubt_s(websocket.scope))
        self._owner = ""
        self._changes: asyncio.Queue[Change] = asyncio.Queue(_CHANGES)
        self._sending_since_s: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._pace = TokenBucket(gateway.settings.max_messages_per_second, self._clock())

    async def serve(self) -> None:
        """Serve the CMS; what it subscribed stays for the time of grace."""
        with self._gateway.joined(self._outbox) as self._owner:
            log.info("%s: a CMS has connected", self._owner)
            tasks = [asyncio.create_task(each) for each in (self._read(), self._write(), self._beat(), self._carry())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                await self._caught_up()  # What the CMS said just before it hung up counts.
            finally:
                for task in tasks:
                    task.cancel()
                ends = await asyncio.gather(*tasks, return_exceptions=True)
        await self._gateway.leave(self._owner)
        log.info("%s: the CMS is gone", self._owner)
        for end in ends:
            if isinstance(end, Exception):
                raise end

    # ------------------------------------------------------------ out

    async def _write(self) -> None:
        while not self._outbox.closing:
            body = self._outbox.pop()
            if body is None:
                await self._outbox.filled()
                continue
            self._sending_since_s = self._clock()
            if not await self._send(body):
                return
            self._outbox.confirm()
            self._sending_since_s = None
        await self._close()

    async def _send(self, body: str) -> bool:
        try:
            await self._websocket.send({"type": "websocket.send", "text": body})
        except (WebSocketDisconnect, RuntimeError):
            return False  # uvicorn raises RuntimeError for a socket that it has begun to close itself.
        return True

    async def _close(self) -> None:
        try:
            await self._websocket.close(_GOING_AWAY, "the gateway is going away; connect again")
        except (WebSocketDisconnect, RuntimeError):
            log.debug("%s: was closed already", self._owner)

    async def _beat(self) -> None:
        """Report every 2 s from the opening on, on a fixed rhythm: a late beat does not delay the next."""
        due_s = self._clock()
        while True:
            self._report()
            since_s = self._sending_since_s
            if since_s is not None and self._clock() - since_s > _STALLED_S:
                log.warning("%s: the CMS has read nothing for %.0f s; given up", self._owner, _STALLED_S)
                return
            due_s = max(due_s + HEARTBEAT_S, self._clock())
            await asyncio.sleep(due_s - self._clock())

    def _report(self) -> None:
        self._outbox.put_heartbeat(self._gateway.report(self._owner))

    def _refuse(self, refused: Refused) -> None:
        self._counters.messages_refused += 1
        self._counters.errors_sent += 1
        self._outbox.put_reply(refused.message().text())

    # ------------------------------------------------------------ in

    async def _read(self) -> None:
        while True:
            await self._outbox.room()
            event = await self._websocket.receive()
            if event["type"] == "websocket.disconnect":
                return
            self._counters.messages_received += 1
            try:
                message = self._admit(event.get("text"))
                if isinstance(message, RequestState):
                    await self._caught_up()
                changes = self._obey(message)
            except Refused as refused:
                self._refuse(refused)
                continue
            for change in changes:
                await self._changes.put(change)

    def _admit(self, text: str | None) -> Incoming:
        """Return the message, if it is small enough, in time and well-formed."""
        if not self._pace.take(self._clock()):
            rate = self._gateway.settings.max_messages_per_second
            raise Refused(Code.TOO_MANY_MESSAGES, f"more than {rate:g} messages per second; this one was not obeyed")
        if text is None:
            raise Refused(Code.BAD_JSON, "a binary frame; send JSON in text frames")
        limit = self._gateway.settings.max_message_bytes
        if len(text) > limit or len(text.encode()) > limit:
            raise Refused(Code.MESSAGE_TOO_LARGE, f"the message has more than {limit} bytes; it was not read")
        return parse(text)

    def _obey(self, message: Incoming) -> list[Change]:
        """Answer at once what can be; return what has to be stored."""
        match message:
            case Subscribe(payload=payload):
                return [Put(self._wish(payload), self._owner)]
            case Unsubscribe(payload=ended):
                return [Remove(ended.subscriptionIdentifier)]
            case SetSessionId(payload=bound):
                return [Bind(bound.displayIdentifier, bound.sessionId)]
            case SetSubscriptions(payload=wanted):
                return [self._assign(wanted.subscriptions)]
            case RequestState():
                self._report()
            case PatchSessionIn(sessionId=session):
                done = PatchResultPayload(sessionId=session, success=True, message="Patch noted.")
                self._outbox.put_reply(PatchSessionResult(payload=done).text())
            case PatchSessionResult(payload=result):
                return self._note(result)
            case _:
                assert_never(message)
        return []

    def _wish(self, payload: object) -> Wish:
        wish = wish_of(payload, self._gateway.settings)
        if wish.warning is not None:
            self._refuse(wish.warning)
        return wish

    def _assign(self, payloads: list[object]) -> Assign:
        wishes, refused = [], []
        for payload in payloads:
            try:
                wishes.append(self._wish(payload))
            except Refused as fault:
                refused.append(fault)
        return Assign(self._owner, wishes, refused)

    def _note(self, result: PatchResultPayload) -> list[Change]:
        self._counters.patch_results += 1
        if result.success:
            return []
        self._counters.patch_failures += 1
        log.warning("%s: patchSession of session %.80r failed: %.200r", self._owner, result.sessionId, result.message)
        return [Fail(result.sessionId, result.message[:1000])]

    # ------------------------------------------------------------ to the registry

    async def _carry(self) -> None:
        """Store changes in order, all that wait in one step; through an outage of the server too."""
        while True:
            changes = [await self._changes.get()]
            while not self._changes.empty():
                changes.append(self._changes.get_nowait())
            for answer in await self._stored(changes):
                if answer is not None:
                    self._outbox.put_reply(answer)
                self._changes.task_done()

    async def _caught_up(self) -> None:
        """Wait until what was asked before is stored, but not for a server that is away."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CATCH_UP_S):
                await self._changes.join()

    async def _stored(self, changes: list[Change]) -> list[str | None]:
        told, waits = False, waiting()
        while True:
            try:
                return await self._gateway.registry.apply(changes)
            except AWAY:
                if not told:
                    text = "the state server is away; what was asked is kept and done as soon as it is back"
                    self._refuse(Refused(Code.INTERNAL, text))
                told = True
                await asyncio.sleep(next(waits))
