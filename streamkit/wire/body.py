"""What a 200 answer is, when it is not the feed that was asked for: by its first bytes, because content types lie."""

from __future__ import annotations

import enum
import json
import re
from typing import TYPE_CHECKING

from ..model import Chunk
from .failure import error_in_body
from .mend import mend_chunk

if TYPE_CHECKING:
    from collections import Counter

__all__ = ["BodyKind", "completion_in_body", "is_feed_text", "kind_of_body"]

_BOM = b"\xef\xbb\xbf"
_FIELD = re.compile(rb"(?:data|event|id|retry|error)?:|(?:data|event|id|retry)[\r\n]")


class BodyKind(enum.Enum):
    """What the first bytes of a body say that it is."""

    FEED = "server-sent events, or at least nothing else that is known"
    JSON = "a JSON object or array"
    MARKUP = "an HTML or XML page"


def kind_of_body(head: bytes) -> BodyKind | None:
    """What a body is; None as long as only white space, or a part of a byte order mark, has come.

    >>> kind_of_body(b"data: x").name, kind_of_body(b' {"error"').name, kind_of_body(b" ")
    ('FEED', 'JSON', None)
    """
    if _BOM.startswith(head[:3]) and len(head) < len(_BOM):
        return None
    text = head.removeprefix(_BOM).lstrip()
    if not text:
        return None
    return {b"{": BodyKind.JSON, b"[": BodyKind.JSON, b"<": BodyKind.MARKUP}.get(text[:1], BodyKind.FEED)


def is_feed_text(head: bytes) -> bool:
    """Whether some line of the beginning of a body is one that a feed can have; used when not a single chunk came.

    >>> is_feed_text(b": ping"), is_feed_text(b"Internal Server Error")
    (True, False)
    """
    lines = re.split(rb"[\r\n]+", head.removeprefix(_BOM).strip())
    return lines == [b""] or any(_FIELD.match(line + b"\n") for line in lines)


def completion_in_body(body: bytes, quirks: Counter[str]) -> Chunk | None:
    """The error or the whole completion that a JSON body holds, as one chunk; None if it holds neither.

    >>> from collections import Counter
    >>> completion_in_body(b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}', Counter()).text
    'hi'
    """
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if (error := error_in_body(answer)) is not None:
        return Chunk(error=error, raw=body)
    if not isinstance(answer, dict):
        return None
    chunk = mend_chunk(answer, body, quirks)
    return chunk if chunk.choices else None
