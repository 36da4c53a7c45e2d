"""The systems that read the rows: each as its documentation shows, with no retries of its own.

A system is an async context manager over a `Play`; what it yields reads one stream into a `Seen`, and raises what the
system raises.
"""

from __future__ import annotations

import asyncio
import importlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from .seen import Seen, counts

__all__ = ["SYSTEMS", "Play", "System"]

MODEL = "gpt-4.1-mini"
MESSAGES = [{"role": "user", "content": "hi"}]
KEY = "sk-a-key-of-no-account"
REQUEST = {"model": MODEL, "messages": MESSAGES, "stream": True, "stream_options": {"include_usage": True}}


@dataclass(frozen=True)
class Play:
    """One case for one system: where it is served, and what a system has to be told."""

    base_url: str
    timeout: float | None = None
    pause: float = 0.0
    warm: bool = False
    blocked: bool = False
    patience: float = 3.0
    """After so many seconds the system hangs."""
    unix: str | None = None
    options: dict[str, Any] = field(default_factory=dict)


Read = Callable[[Seen], Awaitable[None]]


@dataclass(frozen=True)
class System:
    """A system: the modules that it needs, what it has beyond text, calls and usage, and the errors that are its own."""

    needs: tuple[str, ...]
    has: frozenset[str]
    open: Callable[[Play], AbstractAsyncContextManager[Read]] | None
    errors: tuple[str, ...] = ()
    """Classes that are its own, as "module:Class"."""
    node: str | None = None


class FeedError(Exception):
    """The loop around httpx-sse found an error object in the feed."""


class _Pause:
    """Makes a reader busy once, after its first text."""

    def __init__(self, play: Play) -> None:
        self._seconds = play.pause

    async def after(self, text: str) -> None:
        if text and self._seconds:
            seconds, self._seconds = self._seconds, 0.0
            await asyncio.sleep(seconds)


@asynccontextmanager
async def _streamkit(play: Play) -> AsyncIterator[Read]:
    import aiohttp

    from streamkit import StreamAborted, StreamDriver, StreamError, Timeout

    options = dict(play.options)
    options["timeout"] = Timeout(**options.get("timeout", {}))
    if play.unix is not None:
        options["session"] = aiohttp.ClientSession(connector=aiohttp.UnixConnector(play.unix))

    async def read(seen: Seen) -> None:
        stream = driver.stream(MESSAGES, model=MODEL)
        names: list[str] = []
        texts: list[str] = []
        pause = _Pause(play)
        stream.on("*", lambda event: names.append(event.name))
        stream.on("text", texts.append)
        stream.on("chunk", lambda chunk: seen.extra.update(chunk.extra) if len(names) < 100 else None)
        if play.pause:
            stream.on("text", pause.after)
        try:
            completion = await stream
        except (StreamError, StreamAborted) as error:
            completion = error.completion
            raise
        finally:
            completion = stream.completion
            seen.text, seen.reasoning, seen.refusal = completion.text, completion.reasoning, completion.refusal
            seen.finish_reason = completion.finish_reason
            seen.choices = {c.index: (c.message.content or "", c.finish_reason) for c in completion.choices}
            seen.tool_calls = [(call.name, call.arguments) for call in completion.tool_calls]
            seen.usage = None if completion.usage is None else counts(completion.usage)
            seen.quirks, seen.events = dict(completion.quirks), dict(Counter(names))
            # What holds for every stream, whatever the row.
            assert "".join(texts) == completion.text, "the text events and the completion differ"
            assert names[-1] == "end", names
            assert sum(names.count(ending) for ending in ("done", "error", "abort")) == 1, names
            ids = [call.id for call in completion.tool_calls]
            assert completion.ended_by not in {"done", "eof"} or (all(ids) and len(set(ids)) == len(ids)), ids

    async with StreamDriver(play.base_url, KEY, retries=0, **options) as driver:
        yield read
    if play.unix is not None:
        await options["session"].close()


@asynccontextmanager
async def _httpx_sse(play: Play) -> AsyncIterator[Read]:
    httpx: Any = importlib.import_module("httpx")
    httpx_sse: Any = importlib.import_module("httpx_sse")
    transport = None if play.unix is None else httpx.AsyncHTTPTransport(uds=play.unix)

    async def read(seen: Seen) -> None:
        pause = _Pause(play)
        url, headers = f"{play.base_url}/chat/completions", {"authorization": f"Bearer {KEY}"}
        async with httpx_sse.aconnect_sse(client, "POST", url, json=REQUEST, headers=headers) as source:
            if source.response.is_error:
                await source.response.aread()
                raise FeedError(f"{source.response.status_code}: {source.response.text}")
            async for event in source.aiter_sse():
                if event.data == "[DONE]":
                    break
                chunk = json.loads(event.data, object_hook=lambda fields: SimpleNamespace(**fields))
                if error := getattr(chunk, "error", None):
                    raise FeedError(str(getattr(error, "message", error)))
                await pause.after(seen.add(chunk))

    async with httpx.AsyncClient(timeout=play.timeout, transport=transport, follow_redirects=True) as client:
        yield read


def _openai(helper: bool) -> Callable[[Play], AbstractAsyncContextManager[Read]]:
    @asynccontextmanager
    async def system(play: Play) -> AsyncIterator[Read]:
        openai: Any = importlib.import_module("openai")

        async def iterate(seen: Seen) -> None:
            pause = _Pause(play)
            async for chunk in await client.chat.completions.create(**REQUEST):
                await pause.after(seen.add(chunk))

        async def events(seen: Seen) -> None:
            pause = _Pause(play)
            request = {name: value for name, value in REQUEST.items() if name != "stream"}
            async with client.chat.completions.stream(**request) as stream:
                async for event in stream:
                    if event.type == "content.delta":
                        seen.text += event.delta
                        await pause.after(event.delta)
                    elif event.type == "refusal.delta":
                        seen.refusal += event.delta
                completion = await stream.get_final_completion()
            seen.choices = {c.index: (c.message.content or "", c.finish_reason) for c in completion.choices}
            seen.text, seen.finish_reason = seen.choices[0]
            message = completion.choices[0].message
            functions = [call.function for call in message.tool_calls or ()]
            if message.function_call:
                functions.append(message.function_call)
            seen.tool_calls = [(function.name, function.arguments) for function in functions]
            seen.usage = completion.usage and counts(completion.usage)

        async with openai.AsyncOpenAI(
            base_url=play.base_url, api_key=KEY, max_retries=0, timeout=play.timeout
        ) as client:
            yield events if helper else iterate

    return system


@asynccontextmanager
async def _litellm(play: Play) -> AsyncIterator[Read]:
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True

    async def read(seen: Seen) -> None:
        pause = _Pause(play)
        request = {**REQUEST, "model": f"openai/{MODEL}", "api_base": play.base_url, "api_key": KEY}
        async for chunk in await litellm.acompletion(**request, timeout=play.timeout, max_retries=0, num_retries=0):
            await pause.after(seen.add(chunk))

    yield read


OPENAI_ERRORS = ("openai:OpenAIError",)

# What decides whether a case says anything about a system: what it has, beside what every one has.
SYSTEMS = {
    "streamkit": System(
        ("streamkit",),
        frozenset({"on_truncation", "max_malformed", "max_event_bytes", "reasoning", "think_tags", "legacy", "unix"}),
        _streamkit,
        ("streamkit:StreamkitError",),
    ),
    "openai-python `stream=True`": System(("openai",), frozenset(), _openai(helper=False), OPENAI_ERRORS),
    "openai-python `.stream()`": System(("openai",), frozenset(), _openai(helper=True), OPENAI_ERRORS),
    "openai-node `.stream()`": System(("openai",), frozenset(), None, node="openai_stream.mjs"),
    "httpx-sse + json": System(
        ("httpx", "httpx_sse"),
        frozenset({"reasoning", "unix"}),
        _httpx_sse,
        ("httpx:HTTPError", "httpx_sse:SSEError", "benchmarks.rows.systems:FeedError"),
    ),
    "litellm": System(("litellm",), frozenset({"reasoning"}), _litellm, OPENAI_ERRORS),
}
