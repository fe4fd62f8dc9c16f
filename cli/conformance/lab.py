"""Where a worker is judged: connections to it, what is asked of it again and again, and what came of all of it."""

from __future__ import annotations

import secrets
import ssl
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import httpx
from websockets.exceptions import InvalidHandshake, InvalidURI
from websockets.sync.client import connect

from cli.conformance.peer import Fits, Heard, Message, Peer
from cli.conformance.rules import Broken, NotApplicable, shown
from cli.packages.texts import readable
from contract.errors import DetectorError
from contract.urls import redact

#: An answer that takes longer is none.
ANSWER_S = 3.0
#: A subscription is in the report by then: one heartbeat and a bit, with a slow network between.
LISTED_S = 6.0
#: Asking for a report so often finds out sooner than heartbeats do.
_ASK_S = 0.3
#: Nothing listens there on any machine.
NOBODY = "127.0.0.1:9"
#: May be found in nothing that a worker says.
SECRET = "s3cret-" + secrets.token_hex(4)


class Unreachable(DetectorError):
    """There is no worker to judge."""


@dataclass(frozen=True, slots=True)
class Target:
    """The worker that is judged, and a camera and a package for it to work with."""

    url: str
    headers: Mapping[str, str]
    tls: ssl.SSLContext | None = None
    camera: str | None = None
    model: str | None = None

    @property
    def http(self) -> str:
        """Its address for HTTP, without a slash at the end."""
        scheme, _, rest = self.url.partition("://")
        return f"{'https' if scheme == 'wss' else 'http'}://{rest.rstrip('/')}"


class Lab:
    """Makes connections, and forgets none of what came over them.

    Attributes:
        idle: is never sent anything, so its reports are heartbeats.
        live: there is a camera, so detections can be expected.
    """

    def __init__(self, target: Target) -> None:
        self.target = target
        self.live = target.camera is not None and target.model is not None
        self.peers: list[Peer] = []
        #: Part of names that no other run and no other CMS uses.
        self.run = secrets.token_hex(3)
        self.idle = self._dial()

    def _dial(self) -> Peer:
        target = self.target
        try:
            socket = connect(
                target.url,
                max_size=2**22,
                proxy=None,
                additional_headers=target.headers,
                ssl=target.tls,
                open_timeout=10.0,
            )
        except (OSError, InvalidHandshake, InvalidURI, ValueError) as exc:
            raise Unreachable(f"no WebSocket at {readable(redact(target.url))}: {readable(str(exc), 200)}") from None
        self.peers.append(Peer(socket))
        return self.peers[-1]

    @contextmanager
    def peer(self) -> Iterator[Peer]:
        """A CMS that is connected.

        Raises:
            Broken: the worker, which was there when all this began, lets nobody in any more.
        """
        try:
            peer = self._dial()
        except Unreachable as exc:
            raise Broken(f"there is {exc}; it was there before") from None
        try:
            yield peer
        finally:
            peer.close()

    def close(self) -> None:
        """Hang up everywhere."""
        for peer in self.peers:
            peer.close()

    def name(self, display: str, camera: str = "cam") -> str:
        """Return a subscription's name that is this run's own."""
        return f"{display}-{self.run};{camera}-{self.run}"

    def wish(self, name: str, **fields: Any) -> Message:
        """Return a subscribe payload: of the camera that was given, else of one that cannot be."""
        camera = self.target.camera or f"rtsp://{NOBODY}/{self.run}"
        snapshots = camera.endswith((".jpg", ".jpeg"))
        own: Message = {
            "subscriptionIdentifier": name,
            **({"snapshotUrl": camera, "snapshotInterval": 500} if snapshots else {"rtspUrl": camera}),
            "modelUrl": self.target.model or f"http://{NOBODY}/{self.run}.mpta",
            "modelId": 101,
            "modelName": "protocol-test",
        }
        return {key: value for key, value in (own | fields).items() if value is not None}

    def subscribe(self, peer: Peer, name: str, **fields: Any) -> None:
        """Ask for a subscription."""
        peer.send({"type": "subscribe", "payload": self.wish(name, **fields)})

    @contextmanager
    def subscribed(self, peer: Peer, *names: str, **fields: Any) -> Iterator[None]:
        """Subscriptions that end with the block."""
        for name in names:
            self.subscribe(peer, name, **fields)
        try:
            yield
        finally:
            for name in names:
                peer.send({"type": "unsubscribe", "payload": {"subscriptionIdentifier": name}})

    def until(self, peer: Peer, fits: Fits, within_s: float = LISTED_S, since: int = 0) -> Heard | None:
        """Ask for reports until one fits, and return that; None when none does in time."""
        deadline_s = time.monotonic() + within_s
        while True:
            peer.send({"type": "requestState"})
            left_s = deadline_s - time.monotonic()
            found = peer.expect("stateReport", since, min(_ASK_S, max(left_s, 0.0)), fits)
            if found is not None or left_s <= 0 or peer.closed:
                return found

    def listed(self, peer: Peer, name: str, since: int = 0, **values: Any) -> Message:
        """Return a subscription as a report has it, once that has these values.

        Raises:
            NotApplicable: a worker need not list what it cannot open.
            Broken: it is not listed, or not so, though there is a camera.
        """
        found = self.until(peer, lambda m: _has(entry(m, name), values), since=since)
        if found is not None and found.message is not None:
            return entry(found.message, name) or {}
        told = [f for f in (entry(h.message or {}, name) for h in peer.messages("stateReport", since)) if f]
        if told:
            raise Broken(f"listed as {shown(told[-1])}, expected {shown(values)}")
        if self.live:
            raise Broken(f"no stateReport lists the subscription within {LISTED_S:g} s")
        raise NotApplicable("the worker does not list a subscription whose camera cannot be opened; needs --camera")

    def answer(self, peer: Peer, question: object, kind: str, within_s: float = ANSWER_S) -> Heard | None:
        """Ask, and return the first message of this type that comes after."""
        since = peer.mark()
        peer.send(question)
        return peer.expect(kind, since, within_s)

    def alive(self, peer: Peer, after: str) -> None:
        """Return when the worker still answers on this connection.

        Raises:
            Broken: it closed it, or says nothing.
        """
        if self.answer(peer, {"type": "requestState"}, "stateReport") is None:
            how = "the connection was closed" if peer.closed else f"no answer to requestState within {ANSWER_S:g} s"
            raise Broken(f"{how} after {after}")

    def errors(self, peer: Peer, provocation: object) -> list[Message]:
        """Return the `error`s that a message brings."""
        since, mark = peer.mark(), f"mark-{secrets.token_hex(4)}"
        peer.send(provocation)
        peer.send({"type": "patchSession", "sessionId": mark, "data": {}})
        peer.expect("patchSessionResult", since, 1.5, lambda m: _session(m) == mark)
        return [heard.message for heard in peer.messages("error", since) if heard.message]

    def image(self, name: str) -> httpx.Response:
        """Ask for the newest picture of a subscription.

        Raises:
            Broken: HTTP is not answered.
        """
        return self.get(f"/camera/{quote(name)}/image")

    def get(self, path: str) -> httpx.Response:
        """Ask by HTTP on the same port.

        Raises:
            Broken: it is not answered.
        """
        target = self.target
        verify: ssl.SSLContext | bool = True if target.tls is None else target.tls
        try:
            return httpx.get(
                f"{target.http}{path}", headers=dict(target.headers), timeout=5.0, verify=verify, trust_env=False
            )
        except httpx.HTTPError as exc:
            raise Broken(f"GET {path} is not answered ({type(exc).__name__})") from None


def entry(report: Message, name: str) -> Message | None:
    """Return what a report says of a subscription."""
    entries = report.get("cameraConnections")
    found = [e for e in entries if isinstance(e, dict)] if isinstance(entries, list) else []
    return next((each for each in found if each.get("subscriptionIdentifier") == name), None)


def _has(found: Message | None, values: Mapping[str, Any]) -> bool:
    return found is not None and all(
        type(found.get(key)) is type(value) and found.get(key) == value for key, value in values.items()
    )


def _session(result: Message) -> Any:
    payload = result.get("payload")
    return payload.get("sessionId") if isinstance(payload, dict) else None
