"""Streams in windows: the events of a stream on the thread of a user interface, a batch a frame.

Each toolkit has a module of its own, imported by whoever uses it: `streamkit.gui.qt`, `streamkit.gui.tk`,
`streamkit.gui.textual`. What is here needs none.

>>> from streamkit import StreamDriver, demo_tape
>>> from streamkit.loop_thread import LoopThread
>>> from streamkit.testing import replay_server
>>> thread, shown, dispatcher = LoopThread.shared(), [], PumpDispatcher()
>>> with (
...     thread.enter(replay_server(demo_tape(), speed=0)) as server,
...     thread.enter(StreamDriver(server.base_url)) as driver,
... ):
...     stream = driver.stream("Write a poem", model="m").attach(FrameSink(dispatcher, shown.append, fps=1000))
...     running = thread.submit(stream)  # in its own thread
...     while not shown or shown[-1].ending is None:
...         dispatcher.pump()  # in this one, as a render loop would
>>> "".join(batch.text for batch in shown) == shown[-1].ending.text
True
"""

from __future__ import annotations

from .backlog import Batch
from .dispatcher import Dispatcher, DispatcherClosed
from .frames import FrameSink
from .loop import AsyncioDispatcher
from .pull import batches, blocking_batches
from .pump import PumpDispatcher

__all__ = [
    "AsyncioDispatcher",
    "Batch",
    "Dispatcher",
    "DispatcherClosed",
    "FrameSink",
    "PumpDispatcher",
    "batches",
    "blocking_batches",
]
