"""A server of one stream to many readers, a process of its own: ``python -m benchmarks.fanout_server WAY [CPU]``.

Says ``{"missing": module}`` or ``{"port": …, "path": …}``; then answers each line of standard input:
``{"do": "resident"}`` with the bytes of the process, ``{"do": "publish", "rate": …, "seconds": …}`` with the processor time
that publishing took.

Each way is what its documentation shows: a queue a subscriber, and the library's own response. What is published is the time
at which it was.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

from .cores import allow_many_connections, stay_on

__all__ = ["WAYS", "main"]

Publish = Callable[[str], None]


class _Feed:
    """A completion feed in memory: what is put into it is what the upstream sends."""

    request: Mapping[str, Any] = {"model": "m", "messages": []}

    def __init__(self) -> None:
        self._reads: asyncio.Queue[bytes] = asyncio.Queue()

    def put(self, text: str) -> None:
        chunk = {
            "id": "chatcmpl-benchmark",
            "object": "chat.completion.chunk",
            "created": 1767225600,
            "model": "m",
            "choices": [{"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}],
        }
        self._reads.put_nowait(b"data: %b\n\n" % json.dumps(chunk).encode())

    async def connect(self) -> Any:
        from streamkit import Connected

        return Connected(200, {"content-type": "text/event-stream"}), ()

    async def read(self) -> bytes:
        return await self._reads.get()

    def read_nowait(self) -> bytes:
        return b""

    def close(self, *, whole: bool) -> None:
        pass

    def redact(self, text: str) -> str:
        return text


class _Driver:
    """Makes the one stream."""

    def __init__(self, feed: _Feed) -> None:
        self._feed = feed

    def stream(self, request: object) -> Any:
        from streamkit import CompletionStream

        return CompletionStream(self._feed)


@asynccontextmanager
async def _aiohttp_server(app: Any) -> AsyncIterator[int]:
    from aiohttp import web

    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()


@asynccontextmanager
async def _uvicorn_server(app: Any) -> AsyncIterator[int]:
    uvicorn: Any = importlib.import_module("uvicorn")
    config = uvicorn.Config(
        app, port=0, log_level="error", access_log=False, loop="asyncio", lifespan="off", backlog=1024
    )
    server = uvicorn.Server(config)
    serving = asyncio.ensure_future(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.force_exit = server.should_exit = True
        await asyncio.wait([serving], timeout=5)


@asynccontextmanager
async def _relay() -> AsyncIterator[tuple[Any, str, Publish]]:
    from streamkit.web import Relay

    feed = _Feed()
    driver: Any = _Driver(feed)
    async with Relay(driver, on_disconnect="continue") as relay:
        relayed = await relay.start({"model": "m", "messages": []})
        yield relay, f"/streams/{relayed.id}", feed.put


@asynccontextmanager
async def _streamkit() -> AsyncIterator[tuple[int, str, Publish]]:
    from streamkit.web.routes import relay_app

    async with _relay() as (relay, path, publish), _aiohttp_server(relay_app(relay)) as port:
        yield port, path, publish


@asynccontextmanager
async def _streamkit_asgi() -> AsyncIterator[tuple[int, str, Publish]]:
    from streamkit.web.asgi import relay_asgi

    async with _relay() as (relay, path, publish), _uvicorn_server(relay_asgi(relay)) as port:
        yield port, path, publish


@asynccontextmanager
async def _aiohttp_sse() -> AsyncIterator[tuple[int, str, Publish]]:
    from aiohttp import web

    sse_response: Any = importlib.import_module("aiohttp_sse").sse_response
    queues: set[asyncio.Queue[str]] = set()

    async def events(request: web.Request) -> Any:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.add(queue)
        try:
            async with sse_response(request) as response:
                while response.is_connected():
                    await response.send(await queue.get())
                return response
        finally:
            queues.discard(queue)

    def publish(text: str) -> None:
        data = json.dumps({"text": text})
        for queue in queues:
            queue.put_nowait(data)

    app = web.Application()
    app.router.add_get("/events", events)
    async with _aiohttp_server(app) as port:
        yield port, "/events", publish


@asynccontextmanager
async def _sse_starlette() -> AsyncIterator[tuple[int, str, Publish]]:
    applications: Any = importlib.import_module("starlette.applications")
    routing: Any = importlib.import_module("starlette.routing")
    response: Any = importlib.import_module("sse_starlette").EventSourceResponse
    queues: set[asyncio.Queue[str]] = set()

    async def endpoint(request: Any) -> Any:
        queue: asyncio.Queue[str] = asyncio.Queue()
        queues.add(queue)

        async def events() -> AsyncIterator[dict[str, str]]:
            try:
                while True:
                    yield {"data": await queue.get()}
            finally:
                queues.discard(queue)

        return response(events())

    def publish(text: str) -> None:
        data = json.dumps({"text": text})
        for queue in queues:
            queue.put_nowait(data)

    app = applications.Starlette(routes=[routing.Route("/events", endpoint)])
    async with _uvicorn_server(app) as port:
        yield port, "/events", publish


WAYS: dict[str, tuple[str, Callable[[], AbstractAsyncContextManager[tuple[int, str, Publish]]]]] = {
    "streamkit": ("streamkit.web", _streamkit),
    "streamkit-asgi": ("uvicorn", _streamkit_asgi),
    "aiohttp-sse": ("aiohttp_sse", _aiohttp_sse),
    "sse-starlette": ("sse_starlette", _sse_starlette),
}
"""By name: the module without which it cannot be, and the server: its port, the path of the events, how to publish one."""


def _resident() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def _publish(publish: Publish, rate: int, seconds: float) -> dict[str, float]:
    loop = asyncio.get_running_loop()
    events = int(rate * seconds)
    started, cpu = loop.time(), time.process_time()
    for number in range(events):
        await asyncio.sleep(max(0.0, started + number / rate - loop.time()))
        publish(f"t{time.monotonic_ns()};")
    await asyncio.sleep(0.5)
    return {"cpu": time.process_time() - cpu, "wall": loop.time() - started, "events": events}


async def _run(way: str) -> None:
    loop = asyncio.get_running_loop()
    async with WAYS[way][1]() as (port, path, publish):
        print(json.dumps({"port": port, "path": path}), flush=True)
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            question = json.loads(line)
            answer: dict[str, float]
            if question["do"] == "publish":
                answer = await _publish(publish, question["rate"], question["seconds"])
            else:
                gc.collect()
                answer = {"resident": _resident()}
            print(json.dumps(answer), flush=True)


def main(way: str, core: str | None = None) -> None:
    """Serve until standard input ends."""
    stay_on(None if core is None else int(core))
    allow_many_connections()
    try:
        importlib.import_module(WAYS[way][0])
    except ModuleNotFoundError as error:
        print(json.dumps({"missing": error.name}), flush=True)
        return
    asyncio.run(_run(way), debug=False)


if __name__ == "__main__":
    main(*sys.argv[1:])
