"""The ASGI application of one gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator

from fastapi import FastAPI
from starlette.websockets import WebSocket

from contract import settings
from contract.settings import Settings
from worker_api import web
from worker_api.connection import Connection
from worker_api.gateway import Gateway

log = logging.getLogger(__name__)

VERSION = "0.1.0"
_TRY_LATER = 1013


def create_app(given: Settings | None = None) -> FastAPI:
    """Return a gateway that begins its work when it is served."""
    gateway = Gateway(given or settings.load())

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(loop, name=name) for name, loop in gateway.loops().items()]
                yield
                for task in tasks:
                    task.cancel()
        except* Exception:
            # A gateway of which a part is dead is worse than none: end, and be started anew.
            log.critical("a part of the gateway has failed; it ends", exc_info=True)
            app.state.failed = True
            os.kill(os.getpid(), signal.SIGTERM)
        finally:
            await gateway.end()

    app = FastAPI(title="detector gateway", version=VERSION, lifespan=lifespan)
    app.state.gateway = gateway
    app.state.failed = False
    app.include_router(web.router)

    async def cms(websocket: WebSocket) -> None:
        await websocket.accept()
        if gateway.closing:
            await websocket.close(_TRY_LATER, "the gateway is going away; connect again")
            return
        await Connection(gateway, websocket).serve()

    app.add_api_websocket_route("/", cms)
    return app
