"""A whole relay inside a FastAPI application: resumable streams, the guides' form, and OpenAI's API, below /ai.

OPENAI_API_KEY=… uvicorn relay_fastapi_mounted:app

Then any OpenAI client can be pointed at it (OPENAI_BASE_URL=http://127.0.0.1:8000/ai/v1), and / is a page that reads from it.
As a script it asks itself once, before a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import uvicorn
from fastapi import FastAPI
from fastapi.middleware.gzip import GZipMiddleware
from fastapi.responses import FileResponse
from starlette.types import Receive, Scope, Send

from streamkit import StreamDriver, demo_tape
from streamkit.testing import replay_server
from streamkit.web import Limits, Relay


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with (
        StreamDriver(model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")) as driver,
        Relay(driver, limits=Limits(max_streams=200, max_seconds=300)) as started,
    ):
        app.state.relay = started.asgi()
        yield


app = FastAPI(lifespan=lifespan)
app.add_middleware(GZipMiddleware)  # it leaves streams alone


async def relay(scope: Scope, receive: Receive, send: Send) -> None:
    """The relay of this run: a TestClient, for one, starts the application again and again."""
    await app.state.relay(scope, receive, send)


app.mount("/ai", relay)


@app.get("/")
async def page() -> FileResponse:
    return FileResponse(Path(__file__).with_name("relay_page.html"))


async def main() -> None:
    async with replay_server(demo_tape(), speed=4) as demo:
        os.environ.setdefault("OPENAI_BASE_URL", demo.base_url)
        server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
        serving = asyncio.create_task(server.serve())
        while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.01)
        base = "http://127.0.0.1:{1}".format(*server.servers[0].sockets[0].getsockname())
        question = {"messages": [{"role": "user", "content": "Write a poem"}]}
        async with aiohttp.ClientSession(base) as session:
            async with session.post("/ai/streams", json=question) as response:
                url = response.headers["location"]
            for reader in ("first", "second"):  # as many as there are, and as often as they come back
                async with session.get(url) as response:
                    print(f"the {reader} reader got {len(await response.read())} bytes")
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main())
