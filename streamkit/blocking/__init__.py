"""Streams for code that is not async: a `for` loop over the text, or a callback, on one background loop.

>>> from streamkit import demo_tape
>>> from streamkit.loop_thread import LoopThread
>>> from streamkit.testing import replay_server
>>> with LoopThread.shared().enter(replay_server(demo_tape(), speed=0)) as server:
...     for text in stream_text("Write a poem", base_url=server.base_url):
...         print(text, end="")
...         if "." in text:
...             break  # leaving the loop aborts the stream
A stream is a letter that you read while it is being written.
"""

from __future__ import annotations

from .calls import complete, stream_chunks, stream_text
from .stream import BlockingStream

__all__ = ["BlockingStream", "complete", "stream_chunks", "stream_text"]
