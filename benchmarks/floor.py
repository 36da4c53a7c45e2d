"""The floor: the least that turns this feed into text over aiohttp. It is right for this feed and for no other."""

from __future__ import annotations

from collections.abc import Callable

import aiohttp
import msgspec

__all__ = ["read_floor"]


class _Delta(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    delta: _Delta


class _Chunk(msgspec.Struct):
    choices: list[_Choice]


_decode = msgspec.json.Decoder(_Chunk).decode


async def read_floor(response: aiohttp.ClientResponse, take: Callable[[str], object]) -> int:
    """Pass each piece of text in ``response`` to ``take``; returns the number of reads it took."""
    reads, tail = 0, b""
    async for data in response.content.iter_any():
        reads += 1
        *events, tail = (tail + data).split(b"\n\n")
        for event in events:
            if event == b"data: [DONE]":
                continue
            choices = _decode(event[6:]).choices
            if choices and (text := choices[0].delta.content):
                take(text)
    return reads
