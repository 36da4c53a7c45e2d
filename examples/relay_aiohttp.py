"""A relay in an aiohttp application, here before a recorded answer. From another terminal, while it runs:

curl -N localhost:8080/ai/stream -H 'Content-Type: application/json' -d '{"message": "Write a poem"}'

http://localhost:8080/ is a page that reads from it.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import aiohttp
from aiohttp import web

from streamkit import StreamDriver, demo_tape
from streamkit.testing import replay_server
from streamkit.web import Relay
from streamkit.web.routes import closing


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(Path(__file__).with_name("relay_page.html"))


async def main() -> None:
    async with replay_server(demo_tape(), speed=4) as demo:
        url, model = os.environ.get("OPENAI_BASE_URL", demo.base_url), os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
        async with StreamDriver(url, model=model) as driver:
            relay, app = Relay(driver), web.Application()
            app.add_routes(relay.routes("/ai"))
            app.router.add_get("/", page)
            app.on_shutdown.append(closing(relay))
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=2)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 8080 if sys.stdin.isatty() else 0).start()
            path = f"http://127.0.0.1:{runner.addresses[0][1]}/ai/stream"
            async with aiohttp.request("POST", path, json={"message": "Write a poem"}) as response:
                print(await response.text())
            if sys.stdin.isatty():
                await asyncio.to_thread(input, f"{__doc__}\nEnter ends it.")
            await runner.cleanup()


asyncio.run(main())
