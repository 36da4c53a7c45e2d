"""A relay before a scripted upstream, both over loopback, and what asks it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web

from streamkit import StreamDriver
from streamkit.testing import Hang, Script, ScriptedServer, Send, chunk, completion_server, sse
from streamkit.web import Relay
from streamkit.web.http import Answer, Request, StreamAnswer, handle
from streamkit.web.refusals import Refused

__all__ = ["CANARY", "HELLO", "HELLO_FEED", "KEY", "OPEN", "ask", "body_of", "read", "relay_over", "site", "until"]

KEY = "sk-canary-key-0123456789abcdef"
CANARY = "canary-prompt-5d41402a"
HELLO: dict[str, Any] = {"messages": [{"role": "user", "content": CANARY}]}

USAGE = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}
HELLO_FEED = sse(
    chunk("", role="assistant"), chunk("Hel"), chunk("lo"), chunk(finish_reason="stop"), chunk(usage=USAGE)
)
OPEN: Script = [Send(sse(chunk("Hel", role="assistant"), chunk("lo"), done=False)), Hang()]
"""An answer that has begun and goes on for ever."""


@asynccontextmanager
async def relay_over(
    *scripts: Script, retries: int = 0, **settings: Any
) -> AsyncIterator[tuple[ScriptedServer, Relay]]:
    async with (
        completion_server(*(scripts or (HELLO_FEED,))) as upstream,
        StreamDriver(upstream.base_url, KEY, retries=retries) as driver,
        Relay(driver, **settings) as relay,
    ):
        yield upstream, relay


@asynccontextmanager
async def site(app: web.Application, *, port: int = 0, **settings: Any) -> AsyncIterator[str]:
    """The base URL of an application that is being served."""
    runner = web.AppRunner(app, **{"shutdown_timeout": 2.0, "access_log": None, **settings})
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def ask(
    relay: Relay,
    method: str,
    path: str,
    body: object = None,
    *,
    root: str = "",
    query: dict[str, str] | None = None,
    **headers: Any,
) -> Answer | StreamAnswer:
    """Ask without a server in between; `body` is sent as JSON unless it is bytes."""
    data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        names.setdefault("content-type", "application/json")

    async def read_body(limit: int) -> bytes:
        if len(data) > limit:
            raise Refused("too large", status=413, code="request_too_large")
        return data

    return await handle(relay, Request(method, path, names, read_body, query or {}, root))


async def read(answer: Answer | StreamAnswer) -> bytes:
    """The whole body."""
    if isinstance(answer, Answer):
        return answer.body
    try:
        return b"".join([data async for data in answer.subscription])
    finally:
        answer.subscription.close()


def body_of(answer: Answer | StreamAnswer) -> Any:
    """The JSON of an answer that is whole."""
    assert isinstance(answer, Answer)
    return json.loads(answer.body)


async def until(condition: Any, seconds: float = 5.0) -> None:
    """Wait until something is true that another process or a socket brings about."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)
