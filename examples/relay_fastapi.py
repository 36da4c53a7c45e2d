"""The streaming guides' FastAPI endpoint, done right: `data: {"content": …}` for each token, `data: [DONE]` at the end.

A client that leaves stops the upstream, a failure is told, a silence is bridged. To serve it, with a page to try it in at /:

OPENAI_API_KEY=… uvicorn relay_fastapi:app

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
from fastapi.responses import FileResponse
from pydantic import BaseModel

from streamkit import StreamDriver, demo_tape
from streamkit.testing import replay_server
from streamkit.web.starlette import RelayResponse


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with StreamDriver(model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")) as app.state.driver:
        yield


app = FastAPI(lifespan=lifespan)


class Question(BaseModel):
    message: str


@app.post("/stream")
async def stream(question: Question) -> RelayResponse:
    return RelayResponse(app.state.driver.stream(question.message), encoding="guide")


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
        url = "http://127.0.0.1:{1}/stream".format(*server.servers[0].sockets[0].getsockname())
        async with aiohttp.request("POST", url, json={"message": "Write a poem"}) as response:
            print(await response.text())
        server.should_exit = True
        await serving


if __name__ == "__main__":
    asyncio.run(main())
