"""A worker of somebody else: the older protocol, and nothing of ours. It can be made to break rules."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.sync.server import Server, ServerConnection, serve

Message = dict[str, Any]

_RIGHT = "%Y-%m-%dT%H:%M:%S"
_FRAME_S = 0.05


class Foreign:
    """Knows of one kind of camera, which works, and of nobody's errors.

    Args:
        beat_s: from one heartbeat to the next.
        always_online: says so of every camera.
        broken_time: writes its timestamps as the older worker did.
        null_crops: reports crop fields of whole frames too.
        keeps_sessions: a session, once set, is never cleared.
        fragile: hangs up when a message is not JSON.
    """

    def __init__(
        self,
        *,
        beat_s: float = 2.0,
        always_online: bool = False,
        broken_time: bool = False,
        null_crops: bool = False,
        keeps_sessions: bool = False,
        fragile: bool = False,
    ) -> None:
        self._beat_s, self._always_online, self._broken_time = beat_s, always_online, broken_time
        self._keeps_sessions, self._fragile = keeps_sessions, fragile
        self._crop = dict.fromkeys(("cropX1", "cropY1", "cropX2", "cropY2")) if null_crops else {}
        self._wanted: dict[str, Message] = {}
        self._owners: dict[str, ServerConnection] = {}
        self._sessions: dict[str, Any] = {}

    @contextmanager
    def running(self) -> Iterator[str]:
        """Give the address that it is served at."""
        server: Server = serve(self._speak, "127.0.0.1", 0, process_request=self._picture)
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"ws://127.0.0.1:{server.socket.getsockname()[1]}/"
        finally:
            server.shutdown()
            thread.join()

    def _picture(self, _: ServerConnection, request: Request) -> Response | None:
        if request.path == "/":
            return None
        name = unquote(request.path.removeprefix("/camera/").removesuffix("/image"))
        if name in self._wanted and self._gives_pictures(name):
            return _answer(HTTPStatus.OK, "image/jpeg", b"\xff\xd8jpeg")
        return _answer(HTTPStatus.NOT_FOUND, "application/json", b'{"detail": "no such picture"}')

    def _speak(self, socket: ServerConnection) -> None:
        frames = threading.Thread(target=self._detect, args=[socket], daemon=True)
        beats = threading.Thread(target=self._beat, args=[socket], daemon=True)
        beats.start()
        frames.start()
        for text in socket:
            try:
                message = json.loads(text)
                self._obey(socket, message["type"], message)
            except ValueError:
                if self._fragile:
                    return
            except (KeyError, TypeError, AttributeError):
                continue

    def _obey(self, socket: ServerConnection, kind: str, message: Message) -> None:
        payload = message.get("payload", {})
        if kind == "subscribe" and ";" in payload["subscriptionIdentifier"]:
            self._wanted[payload["subscriptionIdentifier"]] = payload
            self._owners[payload["subscriptionIdentifier"]] = socket
        elif kind == "unsubscribe":
            self._wanted.pop(payload["subscriptionIdentifier"], None)
        elif kind == "requestState":
            socket.send(json.dumps(self._report()))
        elif kind == "setSessionId" and (payload["sessionId"] is not None or not self._keeps_sessions):
            self._sessions[payload["displayIdentifier"]] = payload["sessionId"]
        elif kind == "patchSession":
            done = {"sessionId": message["sessionId"], "success": True, "message": "ok"}
            socket.send(json.dumps({"type": "patchSessionResult", "payload": done}))

    def _beat(self, socket: ServerConnection) -> None:
        try:
            while True:
                socket.send(json.dumps(self._report()))
                time.sleep(self._beat_s)
        except ConnectionClosed:
            return

    def _detect(self, socket: ServerConnection) -> None:
        try:
            while True:
                for name, payload in list(self._wanted.items()):
                    if self._owners[name] is socket and self._gives_pictures(name):
                        socket.send(json.dumps(self._detection(name, payload)))
                time.sleep(_FRAME_S)
        except ConnectionClosed:
            return

    def _gives_pictures(self, name: str) -> bool:
        return str(self._wanted.get(name, {}).get("rtspUrl")).endswith("/works")

    def _report(self) -> Message:
        cameras = [
            {
                **{key: payload[key] for key in ("subscriptionIdentifier", "modelId", "modelName")},
                "online": self._always_online or self._gives_pictures(name),
                **self._crop,
                **{key: value for key, value in payload.items() if key.startswith("crop")},
            }
            for name, payload in list(self._wanted.items())
        ]
        usages = {"cpuUsage": 10.0, "memoryUsage": 20, "gpuUsage": None, "gpuMemoryUsage": None}
        return {"type": "stateReport", **usages, "cameraConnections": cameras}

    def _detection(self, name: str, payload: Message) -> Message:
        now = datetime.now(UTC)
        text = now.strftime(f"{_RIGHT}.%%fZ") if self._broken_time else f"{now:{_RIGHT}}.{now.microsecond // 1000:03}Z"
        session = self._sessions.get(name.split(";")[0])
        return {
            "type": "imageDetection",
            "subscriptionIdentifier": name,
            "timestamp": text,
            **({} if session is None else {"sessionId": session}),
            "data": {
                "detection": {"class": "car", "confidence": 0.5},
                "modelId": payload["modelId"],
                "modelName": payload["modelName"],
            },
        }


def _answer(status: HTTPStatus, kind: str, body: bytes) -> Response:
    headers = Headers({"Content-Type": kind, "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status.value, status.phrase, headers, body)
