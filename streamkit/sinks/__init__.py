"""Sinks: functions of a stream that subscribe what they need, on one stream or on all of a driver's.

>>> import asyncio
>>> from streamkit import StreamDriver, demo_tape
>>> from streamkit.testing import replay_server
>>> async def main():
...     stats, text = StatsSink(), TextAccumulator()
...     async with replay_server(demo_tape(), speed=0) as server:
...         async with StreamDriver(server.base_url, sinks=[stats, text, LogSink()]) as driver:
...             await driver.stream("Write a poem", model="m")
...     return len(text.text), stats.recent[-1].chunks
>>> asyncio.run(main())
(485, 129)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from .console import ConsoleSink
from .figures import GapFigures, StreamStats
from .log import LogSink
from .pipe import pipe
from .stats import StatsSink
from .tape import TapeSink
from .text import TextAccumulator
from .transcript import TranscriptSink

if TYPE_CHECKING:
    from .otel import OTelSink as OTelSink  # exported, though not by `*`: that needs no extra
    from .prometheus import PrometheusSink as PrometheusSink

__all__ = [
    "ConsoleSink",
    "GapFigures",
    "LogSink",
    "StatsSink",
    "StreamStats",
    "TapeSink",
    "TextAccumulator",
    "TranscriptSink",
    "pipe",
]

_WITH_EXTRAS: Final = {"OTelSink": ".otel", "PrometheusSink": ".prometheus"}
"""Sinks that need an extra, and their modules: imported when they are asked for (PEP 562)."""


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the module holds
    if name in _WITH_EXTRAS:
        return getattr(import_module(_WITH_EXTRAS[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
