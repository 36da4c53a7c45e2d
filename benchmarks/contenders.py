"""The contenders: each reads the whole feed and ends with its text, in the way its own documentation shows.

A contender is an async context manager over a base URL. Entering it makes whatever lives longer than a stream (the HTTP
session, the client object), which is not timed; what it yields reads one feed and returns its text in pieces, which is.
"""

from __future__ import annotations

import functools
import importlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple

__all__ = ["CONTENDERS", "Contender", "Read", "Reading"]

MODEL = "gpt-4.1-mini"
MESSAGES = [{"role": "user", "content": "Write a poem"}]
REQUEST = {"model": MODEL, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}


class Reading(NamedTuple):
    """What one run ended with: the pieces of text, and the reads it took where the contender can tell."""

    pieces: list[str]
    reads: int | None = None


Read = Callable[[], Awaitable[Reading]]


@dataclass(frozen=True)
class Contender:
    """A way to read a feed; ``needs`` are the modules (or npm packages) without which it is not run."""

    needs: tuple[str, ...]
    open: Callable[[str], AbstractAsyncContextManager[Read]] | None = None
    node: str | None = None  # the runner in benchmarks/node, for one that is not Python


def _floor(emits: bool) -> Callable[[str], AbstractAsyncContextManager[Read]]:
    @asynccontextmanager
    async def contender(base_url: str) -> AsyncIterator[Read]:
        import aiohttp
        from pyee import EventEmitter

        from .floor import read_floor

        async with aiohttp.ClientSession() as session:

            async def read() -> Reading:
                pieces: list[str] = []
                take: Callable[[str], object] = pieces.append
                if emits:
                    emitter = EventEmitter()
                    emitter.on("text", pieces.append)
                    take = functools.partial(emitter.emit, "text")
                async with session.post(f"{base_url}/chat/completions", json=REQUEST) as response:
                    reads = await read_floor(response, take)
                return Reading(pieces, reads)

            yield read

    return contender


def _streamkit(*, listeners: bool, emitter: bool = False) -> Callable[[str], AbstractAsyncContextManager[Read]]:
    @asynccontextmanager
    async def contender(base_url: str) -> AsyncIterator[Read]:
        from streamkit import StreamDriver

        async with StreamDriver(base_url, "benchmark") as driver:

            async def listen() -> Reading:
                pieces: list[str] = []
                chunks = 0

                def count(chunk: object) -> None:
                    nonlocal chunks
                    chunks += 1

                stream = driver.stream(MESSAGES, model=MODEL)
                if emitter:
                    _ = stream.emitter  # from now on everything goes through it
                stream.on("chunk", count)
                stream.on("text", pieces.append)
                completion = await stream
                if completion.text != "".join(pieces) or chunks < len(pieces):
                    raise AssertionError("the completion and its listeners disagree")
                return Reading(pieces)

            async def iterate() -> Reading:
                return Reading([chunk.text async for chunk in driver.stream(MESSAGES, model=MODEL)])

            yield listen if listeners else iterate

    return contender


@asynccontextmanager
async def _httpx_sse(base_url: str) -> AsyncIterator[Read]:
    httpx: Any = importlib.import_module("httpx")
    httpx_sse: Any = importlib.import_module("httpx_sse")

    async with httpx.AsyncClient() as client:

        async def read() -> Reading:
            pieces: list[str] = []
            url = f"{base_url}/chat/completions"
            async with httpx_sse.aconnect_sse(client, "POST", url, json=REQUEST) as source:
                async for event in source.aiter_sse():
                    if event.data == "[DONE]":
                        continue
                    choices = json.loads(event.data)["choices"]
                    if choices and (text := choices[0]["delta"].get("content")):
                        pieces.append(text)
            return Reading(pieces)

        yield read


def _openai(helper: bool) -> Callable[[str], AbstractAsyncContextManager[Read]]:
    @asynccontextmanager
    async def contender(base_url: str) -> AsyncIterator[Read]:
        openai: Any = importlib.import_module("openai")

        async with openai.AsyncOpenAI(base_url=base_url, api_key="benchmark", max_retries=0) as client:
            completions = client.chat.completions

            async def create() -> Reading:
                pieces: list[str] = []
                async for chunk in await completions.create(**REQUEST):
                    if chunk.choices and (text := chunk.choices[0].delta.content):
                        pieces.append(text)
                return Reading(pieces)

            async def stream() -> Reading:
                pieces: list[str] = []
                async with completions.stream(model=MODEL, messages=MESSAGES) as events:
                    async for event in events:
                        if event.type == "content.delta":
                            pieces.append(event.delta)
                return Reading(pieces)

            yield stream if helper else create

    return contender


CONTENDERS: dict[str, Contender] = {
    "floor": Contender(("aiohttp", "msgspec", "pyee"), _floor(emits=False)),
    "floor + one pyee emit": Contender(("aiohttp", "msgspec", "pyee"), _floor(emits=True)),
    "streamkit: chunk + text listener": Contender(("streamkit.driver",), _streamkit(listeners=True)),
    "streamkit: the same, on its emitter": Contender(("streamkit.driver",), _streamkit(listeners=True, emitter=True)),
    "streamkit: async for": Contender(("streamkit.driver",), _streamkit(listeners=False)),
    "httpx-sse + json": Contender(("httpx", "httpx_sse"), _httpx_sse),
    "openai-python stream=True": Contender(("openai",), _openai(helper=False)),
    "openai-python .stream()": Contender(("openai",), _openai(helper=True)),
    "openai-node stream: true": Contender(("openai",), node="openai_iterate.mjs"),
    'openai-node .stream().on("content")': Contender(("openai",), node="openai_emitter.mjs"),
    "Vercel ai streamText": Contender(("ai", "@ai-sdk/openai-compatible"), node="vercel_stream_text.mjs"),
}
