"""`StatsSink`: how fast each stream was."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from .figures import StreamStats
from .meter import meter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..model import Completion
    from ..stream import CompletionStream

__all__ = ["StatsSink", "StreamStats"]


class StatsSink:
    """Measures streams: one `StreamStats` each, at its end, however it ended.

    Args:
        on_stats: called with the figures of each stream that ended; may be async.
        keep: how many of the latest to keep in `recent`; 0: none.

    What the figures are, and what other tools call them, stands in `StreamStats`. One sink serves any number of streams. A
    stream takes at most some 100 kB, however many chunks it has.

    Raises:
        TypeError, ValueError: an argument that makes no sense.

    >>> import asyncio
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main():
    ...     stats = StatsSink()
    ...     async with replay_server(demo_tape(), speed=0) as server, StreamDriver(server.base_url) as driver:
    ...         await driver.stream("Write a poem", model="m").attach(stats)
    ...     return stats.recent[-1]
    >>> stats = asyncio.run(main())
    >>> stats.ended_by, stats.completion_tokens, stats.ttft <= stats.e2e <= stats.wall
    ('done', 127, True)
    """

    def __init__(self, on_stats: Callable[[StreamStats], object] | None = None, *, keep: int = 100) -> None:
        if on_stats is not None and not callable(on_stats):
            raise TypeError(f"on_stats must be callable, not {type(on_stats).__name__}")
        if type(keep) is not int or keep < 0:
            raise ValueError(f"keep must be a whole number, 0 or more, not {keep!r}")
        self._on_stats = on_stats
        self.recent: deque[StreamStats] = deque(maxlen=keep)
        """The figures of the latest streams, in the order in which they ended."""

    def __call__(self, stream: CompletionStream) -> None:
        """Measure a stream."""
        meter = meter_of(stream)

        def end(completion: Completion) -> object:
            stats = meter.stats(completion)
            self.recent.append(stats)
            return None if self._on_stats is None else self._on_stats(stats)

        stream.on("end", end, replay=True)
