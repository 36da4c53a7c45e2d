"""A relay before an upstream, served over loopback, for clients in other processes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from streamkit import CompletionStream, StreamDriver, Timeout
from streamkit.testing.listening import stop_listening
from streamkit.web import Relay
from streamkit.web.routes import relay_app

__all__ = ["Stage", "staged"]


@dataclass
class Stage:
    """Where clients find the relay, and the upstream itself."""

    relay: Relay
    origin: str
    """The relay's, as in `http://127.0.0.1:8000`; its own protocol is there, OpenAI's API below `/v1`."""
    upstream: str
    """The base URL of the upstream."""
    counters: list[list[object]] = field(default_factory=list)
    """Each is added a stream to when one is started."""

    @property
    def base_url(self) -> str:
        """The base URL of the relay, for clients of OpenAI's API."""
        return self.origin + "/v1"


async def _blank(_: web.Request) -> web.Response:
    return web.Response(text="<!doctype html><title>Blank</title>", content_type="text/html")


async def _script(folder: Path, request: web.Request) -> web.FileResponse:
    name = request.match_info["name"]
    return web.FileResponse(folder / f"{name}.js", headers={"content-type": "text/javascript"})


@asynccontextmanager
async def staged(
    upstream: str, *, idle: float = 20.0, key: str = "sk-test", files: Path | None = None, **settings: Any
) -> AsyncIterator[Stage]:
    """A relay before the upstream at that base URL; an empty page of its origin is at `/`.

    Args:
        upstream: base URL.
        idle: seconds of silence of the upstream after which the relay gives it up.
        key: the upstream's.
        files: a folder of scripts, served at `/files/`; without `.js` in the URL, as packages for bundlers name their modules.
        settings: of the `Relay`.
    """
    timeout = Timeout(first=idle, idle=idle)
    counters: list[list[object]] = []

    def count(stream: CompletionStream) -> None:
        for counter in counters:
            counter.append(stream)

    async with (
        StreamDriver(upstream, key, retries=0, timeout=timeout) as driver,
        Relay(driver, sinks=[count], **settings) as relay,
    ):
        app = relay_app(relay)
        app.router.add_get("/", _blank)
        if files is not None:
            app.router.add_get("/files/{name:[a-z]+}", partial(_script, files))
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)  # the relay has ended its streams by then
        await runner.setup()
        assert runner.server is not None
        listener = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0, backlog=512)
        try:
            yield Stage(relay, f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}", upstream, counters)
        finally:
            # Browsers open connections on suspicion: none must be half accepted.
            await stop_listening(listener)
            await runner.cleanup()
            await listener.wait_closed()
