"""The ASGI application of one gateway."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
from collections.abc import AsyncIterator

from fastapi import Depends, FastAPI
from fastapi.security import HTTPBearer
from starlette.middleware.cors import CORSMiddleware
from starlette.websockets import WebSocket

from contract import settings
from contract.settings import Settings
from worker_api import web
from worker_api.connection import Connection
from worker_api.entry import Entry
from worker_api.gateway import Gateway
from worker_api.tokens import SUBPROTOCOL
from worker_api.version import VERSION

log = logging.getLogger(__name__)

_TRY_LATER = 1013


def create_app(given: Settings | None = None) -> FastAPI:
    """Return a gateway that begins its work when it is served."""
    config = given or settings.load()
    gateway = Gateway(config)

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
    app.include_router(web.probes)
    # Only for the schema: `Entry` judges, before routes and for whatever else is served here.
    needed = [Depends(HTTPBearer(auto_error=False))] if config.tokens else []
    app.include_router(web.router, dependencies=needed, responses=web.UNAUTHORIZED if config.tokens else None)
    app.add_middleware(Entry, settings=config, counters=gateway.counters)
    if config.origins:
        # Outside of `Entry`: a browser asks without a token whether it may ask with one.
        app.add_middleware(CORSMiddleware, allow_origins=config.origins, allow_headers=["Authorization"])

    async def cms(websocket: WebSocket) -> None:
        await websocket.accept(SUBPROTOCOL if SUBPROTOCOL in websocket.scope["subprotocols"] else None)
        if gateway.closing:
            await websocket.close(_TRY_LATER, "the gateway is going away; connect again")
            return
        await Connection(gateway, websocket).serve()

    app.add_api_websocket_route("/", cms)
    return app
