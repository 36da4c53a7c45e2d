"""What the servers are given to serve: a FastAPI application as its users write them, with the relay below `/ai`.

The upstream is OPENAI_BASE_URL; `bare` is the relay with no framework around it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.middleware.gzip import GZipMiddleware
from starlette.middleware.base import RequestResponseEndpoint

from streamkit import StreamDriver
from streamkit.web import Relay
from streamkit.web.starlette import RelayResponse

HEARTBEAT = float(os.environ.get("HEARTBEAT", "0.5"))

driver = StreamDriver(model="m", retries=0)
relay = Relay(driver, heartbeat=HEARTBEAT, early_commit=HEARTBEAT, send_timeout=2.0)
bare = Relay(StreamDriver(model="m", retries=0), heartbeat=HEARTBEAT).asgi()


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with driver, relay:
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware, minimum_size=1)
app.mount("/ai", relay.asgi())


@app.post("/answer")
async def answer() -> RelayResponse:
    return RelayResponse(driver.stream("hi"), encoding="openai", heartbeat=HEARTBEAT)


@app.post("/late")
async def late() -> RelayResponse:
    print("at work", flush=True)
    await asyncio.sleep(0.5)  # a look into the database
    return RelayResponse(driver.stream("hi"), encoding="openai", heartbeat=HEARTBEAT)


@app.post("/text")
async def text() -> RelayResponse:
    return RelayResponse(driver.stream("hi"), encoding="plain", heartbeat=HEARTBEAT)


wrapped = FastAPI()
app.mount("/wrapped", wrapped)
wrapped.mount("/ai", relay.asgi())


@wrapped.middleware("http")
async def hello(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Starlette's middleware of functions, which passes on what it gets from a task of its own."""
    response = await call_next(request)
    response.headers["x-hello"] = "hello"
    return response


@app.post("/mute")
async def mute() -> RelayResponse:
    return RelayResponse(driver.stream("hi"), encoding="openai")
