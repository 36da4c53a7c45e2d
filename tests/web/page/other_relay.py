"""Something else than a relay behind the page's address: it says what it is told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from aiohttp import web

from streamkit.web.page import PAGE_PATHS, page_file

from ..relayed import site

__all__ = ["event", "other_relay"]

STARTED = '{"stream": "s1", "url": "/streams/s1"}'


def event(data: str, seq: int | str, kind: str = "message") -> bytes:
    """An event of the relay's own protocol."""
    named = "" if kind == "message" else f"event: {kind}\n"
    return f"id: s1:{seq}\n{named}data: {data}\n\n".encode()


async def _page(request: web.Request) -> web.Response:
    file = page_file(request.path)
    assert file is not None
    return web.Response(body=file.body, headers={"content-type": file.content_type, **file.headers})


@asynccontextmanager
async def other_relay(
    *bodies: bytes,
    start: tuple[int, str, Mapping[str, str]] = (201, STARTED, {"content-type": "application/json"}),
    content_type: str = "text/event-stream",
    write: int = 2**16,
) -> AsyncIterator[str]:
    """The page, and under `/streams` answers with these `bodies`, one a connection, in writes of so many bytes.

    `start` is the status, the body and the headers of the answer to a POST.
    """
    waiting = list(bodies)

    async def begin(request: web.Request) -> web.Response:
        return web.Response(status=start[0], text=start[1], headers=start[2])

    async def read(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": content_type})
        await response.prepare(request)
        body = waiting.pop(0)
        for at in range(0, len(body), write):
            await response.write(body[at : at + write])
            await asyncio.sleep(0.001)  # another process reads: so that it reads each write by itself, mostly
        return response

    app = web.Application()
    app.add_routes([web.get(path, _page) for path in PAGE_PATHS])
    app.add_routes([web.post("/streams", begin), web.get("/streams/s1", read)])
    async with site(app) as url:
        yield url
