"""Encoders: records of a stream to the bytes of a protocol. Pure code; each remembers no more than its protocol needs."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias

from .guide import GuideEncoder
from .native import NativeEncoder
from .openai import OpenAIEncoder
from .plain import PlainEncoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ..records import LogGap, Record, StreamEnd

__all__ = [
    "STREAM_ID",
    "Encoder",
    "EncodingName",
    "GuideEncoder",
    "NativeEncoder",
    "OpenAIEncoder",
    "PlainEncoder",
    "encoding",
]

EncodingName: TypeAlias = Literal["native", "openai", "guide", "plain"]

STREAM_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What an id of a stream looks like: it stands in event ids, URLs, headers and keys of stores."""


class Encoder(Protocol):
    """Turns the records of one stream, from the first on and each once, into bytes.

    Attributes:
        content_type: of the response.
        headers: of the response, beside the content type.
        heartbeat: what to send after a silence; empty where the protocol has nothing for it.
        resumable: its events have ids: a reader may go on after any of them, else it gets all from the start.
    """

    @property
    def content_type(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def heartbeat(self) -> bytes: ...
    @property
    def resumable(self) -> bool: ...

    def record(self, record: Record | LogGap) -> bytes:
        """The bytes of a chunk, or of a gap; empty where the protocol has nothing to say about it."""
        ...

    def end(self, end: StreamEnd, seq: int) -> bytes:
        """The bytes of the terminal record."""
        ...

    def clean(self, end: StreamEnd) -> bool:
        """Whether the response ends as a whole one; else the connection is to be closed in the middle of it."""
        ...


def encoding(name: EncodingName, stream_id: str, *, include_usage: bool = False) -> Encoder:
    """The encoder of a protocol for one stream.

    Args:
        name: "native" (resumable events), "openai" (chat.completion.chunk), "guide" (`{"content": …}`), "plain" (the text).
        stream_id: letters, digits, `-` and `_`, at most 128; it becomes part of event ids.
        include_usage: "openai": the client asked for the usage chunk.

    Raises:
        ValueError: another name, or an id with other characters.

    >>> encoding("plain", "s1").content_type
    'text/plain; charset=utf-8'
    >>> encoding("native", "s1\\nevent: end")
    Traceback (most recent call last):
    ...
    ValueError: a stream id is 1 to 128 letters, digits, - and _
    """
    if not STREAM_ID.fullmatch(stream_id):
        raise ValueError("a stream id is 1 to 128 letters, digits, - and _")
    match name:
        case "native":
            return NativeEncoder(stream_id)
        case "openai":
            return OpenAIEncoder(include_usage=include_usage)
        case "guide":
            return GuideEncoder()
        case "plain":
            return PlainEncoder()
        case _:
            raise ValueError(f"an encoding is native, openai, guide or plain, not {name!r}")
