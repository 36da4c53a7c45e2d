"""`TextAccumulator`: the text of each stream."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args
from weakref import WeakKeyDictionary

if TYPE_CHECKING:
    from ..stream import CompletionStream

__all__ = ["TextAccumulator"]

_Kind: TypeAlias = Literal["text", "reasoning", "refusal"]


class TextAccumulator:
    """Keeps the text of each stream that it is attached to, as it grows and when it is over, whatever the ending.

    Args:
        kind: the event whose text is kept: "text", "reasoning" or "refusal".

    `accumulator[stream]` is the text of a stream, "" before any came, KeyError for one that it is not attached to;
    `accumulator.text` is that of the stream that it was attached to last. A text is kept as long as its stream is.

    >>> import asyncio
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     accumulator = TextAccumulator()
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url) as driver:
    ...         stream = driver.stream("Write a poem", model="m").attach(accumulator)
    ...         await stream
    ...     return accumulator[stream][:19], accumulator.text == accumulator[stream]
    >>> asyncio.run(main())
    ('A stream is a lette', True)
    """

    def __init__(self, kind: _Kind = "text") -> None:
        if kind not in get_args(_Kind):
            raise ValueError(f"kind must be one of {', '.join(get_args(_Kind))}, not {kind!r}")
        self._kind: _Kind = kind
        self._texts: WeakKeyDictionary[CompletionStream, io.StringIO] = WeakKeyDictionary()
        self._latest = io.StringIO(newline="")

    def __call__(self, stream: CompletionStream) -> None:
        """Keep the text of a stream."""
        self._latest = self._texts[stream] = io.StringIO(newline="")  # newline="": line ends as they come
        stream.on(self._kind, self._latest.write, replay=True)

    def __getitem__(self, stream: CompletionStream) -> str:
        return self._texts[stream].getvalue()

    @property
    def text(self) -> str:
        """The text of the stream that it was attached to last; "" where there is none."""
        return self._latest.getvalue()

    def __repr__(self) -> str:
        return f"<TextAccumulator of {len(self._texts)} streams>"
