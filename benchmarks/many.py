"""Ways to read many streams at once: what `python -m benchmarks concurrent` and `memory` run in a reader's process.

A way is an async context manager over a base URL, as in `contenders`; what it yields reads one stream, giving each piece
of text to a function, until the stream ends or the reading is cancelled.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

from .contenders import MESSAGES, MODEL, REQUEST

__all__ = ["WAYS", "ReadInto"]

ReadInto = Callable[[Callable[[str], object]], Awaitable[None]]


@asynccontextmanager
async def _floor(base_url: str) -> AsyncIterator[ReadInto]:
    import aiohttp

    from .floor import read_floor

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=None)) as session:

        async def read(take: Callable[[str], object]) -> None:
            async with session.post(f"{base_url}/chat/completions", json=REQUEST) as response:
                await read_floor(response, take)

        yield read


@asynccontextmanager
async def _streamkit(base_url: str) -> AsyncIterator[ReadInto]:
    from streamkit import StreamDriver

    async with StreamDriver(base_url, "benchmark") as driver:

        async def read(take: Callable[[str], object]) -> None:
            async with driver.stream(MESSAGES, model=MODEL) as stream:
                stream.on("text", take)
                await stream

        yield read


@asynccontextmanager
async def _openai(base_url: str) -> AsyncIterator[ReadInto]:
    openai: Any = importlib.import_module("openai")

    async with openai.AsyncOpenAI(base_url=base_url, api_key="benchmark", max_retries=0) as client:

        async def read(take: Callable[[str], object]) -> None:
            async with await client.chat.completions.create(**REQUEST) as chunks:
                async for chunk in chunks:
                    if chunk.choices and (text := chunk.choices[0].delta.content):
                        take(text)

        yield read


WAYS: dict[str, tuple[str, Callable[[str], AbstractAsyncContextManager[ReadInto]]]] = {
    "floor": ("aiohttp", _floor),
    "streamkit": ("streamkit", _streamkit),
    "openai-python": ("openai", _openai),
}
"""By name: the module without which it cannot be, and the way."""
