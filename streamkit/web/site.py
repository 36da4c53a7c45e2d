"""A relay on a port of its own: what `streamkit serve` runs."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from aiohttp import web

from .routes import relay_app

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from .relay import Relay

__all__ = ["relay_site"]

_SHUTDOWN_SECONDS: Final = 1.0
"""How long what does not end by itself may take, after the relay has told every client: aiohttp counts it twice."""


@asynccontextmanager
async def relay_site(relay: Relay, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve the relay while it is entered; gives the URL. Leaving it closes the relay, which tells every client.

    Args:
        relay: what answers.
        host: the address to listen on, or a name of it.
        port: 0: a free one.

    Raises:
        OSError: the address cannot be listened on.

    >>> import asyncio, aiohttp
    >>> from streamkit.web import Relay
    >>> async def main():
    ...     async with relay_site(Relay(None)) as url, aiohttp.ClientSession() as session:
    ...         async with session.get(url + "/health") as response:
    ...             return await response.json()
    >>> asyncio.run(main())
    {'status': 'ok'}
    """
    # No access log: it would write down query strings, in which signed links are.
    runner = web.AppRunner(relay_app(relay), access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address = runner.addresses[0]
        name = f"[{address[0]}]" if ":" in address[0] else address[0]
        yield f"http://{name}:{address[1]}"
    finally:
        await runner.cleanup()
