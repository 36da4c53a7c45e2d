"""Event data -> Chunk, for OpenAI-compatible chat completions.

Two speeds. `ChatDecoder.fast` is a typed msgspec decoder for the chunk that everyone sends: it *fails* on every field that
changes an outcome or needs mending, because `_FastChunk` declares those fields as null. Only what it refuses goes to
`ChatDecoder.slow`, which looks at everything, mends it and counts the quirk. So the fast path pays nothing for the zoo.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import msgspec

from ..model import Chunk, ChunkChoice, Delta, FunctionFragment, StreamWarning, ToolCallFragment
from .mend import mend_chunk
from .surrogates import SurrogateJoiner
from .think import ThinkSplitter

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FAST_REFUSALS", "ChatDecoder", "MalformedChunk"]

EXCERPT_CHARS = 120
_EXCERPT_BYTES = 4096  # room for a secret that the excerpt would cut through


class _FastFunction(FunctionFragment, frozen=True, gc=False, forbid_unknown_fields=True):
    pass


class _FastToolCall(ToolCallFragment, frozen=True, gc=False, forbid_unknown_fields=True):
    index: int  # pyright: ignore[reportGeneralTypeIssues]  # no default: its absence is a quirk
    function: _FastFunction | None = None
    extra: None = None


class _FastDelta(Delta, frozen=True, gc=False):
    tool_calls: tuple[_FastToolCall, ...] | None = None
    reasoning_text: None = None
    cot_summary: None = None
    reasoning_details: None = None
    function_call: None = None


class _FastChoice(ChunkChoice, frozen=True, gc=False):
    delta: _FastDelta | None = None
    logprobs: None = None
    usage: None = None


class _FastChunk(Chunk, frozen=True, gc=False, eq=False):
    choices: tuple[_FastChoice, ...] = ()
    usage: None = None
    error: None = None
    x_groq: None = None


_decode_fast: Callable[[bytes], Chunk] = msgspec.json.Decoder(_FastChunk).decode
_decode_any: Callable[[bytes], Any] = msgspec.json.Decoder().decode

FAST_REFUSALS = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What `ChatDecoder.fast` raises for a payload that is `slow`'s to look at."""


class MalformedChunk(ValueError):
    """The data of an event is no chunk; `excerpt` shows its beginning."""

    def __init__(self, detail: str, excerpt: str) -> None:
        super().__init__(detail)
        self.detail = detail
        self.excerpt = excerpt


def _refuse(data: bytes) -> Chunk:
    raise msgspec.DecodeError("something is held back: every chunk must pass the slow path")


class ChatDecoder:
    r"""Decodes the data of one stream's events; remembers only what spans two of them.

    `quirks` counts what was mended; `redact` takes secrets out of excerpts. `warnings` collects what deserves a
    `warning` event; the caller empties it.

    >>> decoder = ChatDecoder()
    >>> decoder.decode(b'{"choices":[{"delta":{"content":"hi"}}]}').text
    'hi'
    >>> decoder.decode(b'{"choices":[{"delta":{"content":[{"type":"text","text":"hi"}]}}]}').text
    'hi'
    >>> decoder.decode(b'{"choices":')
    Traceback (most recent call last):
    ...
    streamkit.wire.chat.MalformedChunk: not JSON: Input data was truncated
    >>> dict(decoder.quirks)
    {'content_parts': 1}
    """

    def __init__(
        self,
        *,
        think_tags: bool = False,
        quirks: Counter[str] | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        self.quirks: Counter[str] = Counter() if quirks is None else quirks
        self.warnings: list[StreamWarning] = []
        self._redact = redact
        self._joiner = SurrogateJoiner()
        self._splitter = ThinkSplitter() if think_tags else None
        self.fast: Callable[[bytes], Chunk] = _decode_fast if self._splitter is None else _refuse
        """The fast decoder, or one that refuses everything while something is held back. Read it again after `slow`."""

    def decode(self, data: bytes) -> Chunk:
        """Decode one event's data; raise MalformedChunk where it is no chunk. (`stream` inlines this.)"""
        try:
            chunk = self.fast(data)
        except FAST_REFUSALS:
            return self.slow(data)
        if needs_slow(chunk):
            return self.slow(data)
        msgspec.structs.force_setattr(chunk, "raw", data)
        return chunk

    def slow(self, data: bytes) -> Chunk:
        """Decode what `fast` refused: mend what can be mended, raise MalformedChunk for the rest."""
        body = self._parse(data)
        if not isinstance(body, dict):
            raise MalformedChunk(f"a JSON {_json_type(body)} where a chunk should be", excerpt_of(data, self._redact))
        try:
            chunk = mend_chunk(body, data, self.quirks)
        except RecursionError:
            raise MalformedChunk("nested too deep", excerpt_of(data, self._redact)) from None
        if self._splitter is not None:
            chunk = self._splitter.split(chunk)
        chunk = self._joiner.join(chunk)
        if self._joiner.replaced:
            self._warn("lone_surrogate", "half of a surrogate pair came without its other half: replaced by U+FFFD")
            self._joiner.replaced = False
        self.fast = _refuse if self._splitter is not None or self._joiner.pending else _decode_fast
        return chunk

    def close(self) -> Chunk | None:
        """End of the feed: a chunk with the text that was held back, None if there was none."""
        chunk = None if self._splitter is None else self._splitter.close()
        if chunk is not None:
            chunk = self._joiner.join(chunk)
        if self._joiner.pending:
            self._warn("lone_surrogate", "the feed ended between the halves of a surrogate pair: replaced by U+FFFD")
            chunk = self._joiner.close(chunk)
        return chunk

    def _parse(self, data: bytes) -> Any:  # noqa: ANN401 - whatever JSON came
        try:
            return _decode_any(data)
        except FAST_REFUSALS as error:
            problem = str(error)
        # msgspec is strict where real feeds are not: invalid UTF-8, lone surrogate escapes, NaN.
        try:
            text, valid = data.decode(), True
        except UnicodeDecodeError:
            text, valid = data.decode("utf-8", "replace"), False
        try:
            body = json.loads(text)
        except (ValueError, RecursionError):
            raise MalformedChunk(f"not JSON: {problem}", excerpt_of(data, self._redact)) from None
        if not valid:
            self._warn("invalid_utf8", "bytes that are no UTF-8 were replaced by U+FFFD", data)
        return body

    def _warn(self, kind: str, detail: str, data: bytes = b"") -> None:
        self.warnings.append(StreamWarning(kind, detail, excerpt_of(data, self._redact)))


def needs_slow(chunk: Chunk) -> bool:
    """Whether a chunk that `fast` took must be looked at again: no choices (an error? usage?) or a choice without a delta."""
    return not chunk.choices or chunk.choices[0].delta is None


def excerpt_of(data: bytes, redact: Callable[[str], str] = str) -> str:
    """The beginning of what came, short enough for a message; secrets are taken out before it is cut.

    >>> excerpt_of(b"<html>")
    '<html>'
    """
    text = redact(data[:_EXCERPT_BYTES].decode("utf-8", "replace"))
    return text if len(text) <= EXCERPT_CHARS else text[: EXCERPT_CHARS - 1] + "…"


def _json_type(value: object) -> str:
    if value is None:
        return "null"
    return {bool: "boolean", int: "number", float: "number", str: "string", list: "array"}.get(type(value), "value")
