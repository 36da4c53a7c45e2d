"""What a toolkit has to bring to be held to the contract of dispatchers (test_contract.py), and how a test runs in its loop."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from streamkit import StreamDriver
from streamkit.gui import FrameSink
from streamkit.loop_thread import LoopThread

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from streamkit import CompletionStream
    from streamkit.gui import Dispatcher

T = TypeVar("T")

#: Toolkits, and the function that opens a window of each.
TOOLKITS = {
    "asyncio": "tests.gui.window_asyncio:open_window",
    "pump": "tests.gui.window_pump:open_window",
    "qasync": "tests.gui.window_qasync:open_window",
    "qt": "tests.gui.window_qt:open_window",
    "textual": "tests.gui.window_textual:open_window",
    "tk": "tests.gui.window_tk:open_window",
    "tk-polled": "tests.gui.window_tk:open_polled_window",
}

SECONDS = 10
"""How long a test waits for what has to come."""


class Window(Protocol):
    """A window of some toolkit, whose loop runs on the thread that opened it."""

    @property
    def early(self) -> bool:
        """The dispatcher can be made before the loop runs."""
        ...

    @property
    def dispatcher(self) -> Dispatcher:
        """Made when this was opened, or, if not `early`, when the loop began."""
        ...

    def run(self, begin: Callable[[], object]) -> None:
        """Run the toolkit's loop until `stop`; calls `begin` in it first."""

    def stop(self) -> None:
        """End the loop, as closing the last window does; from any thread."""

    def destroy(self) -> None:
        """Destroy what the dispatcher belongs to, though the loop goes on; on the UI thread."""


def open_window(toolkit: str) -> AbstractContextManager[Window]:
    """Open a window; skips where the toolkit is not installed."""
    module, _, name = TOOLKITS[toolkit].partition(":")
    window: AbstractContextManager[Window] = getattr(import_module(module), name)()
    return window


def beside(window: Window, work: Callable[[], T]) -> T:
    """Run the window's loop here, and `work` in a thread beside it; ends, and returns or raises, when that does."""
    results: list[T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(work())
        except BaseException as error:
            errors.append(error)
        finally:
            window.stop()

    thread = threading.Thread(target=run, name="beside")
    window.run(thread.start)
    thread.join(SECONDS)
    assert not thread.is_alive()
    if errors:
        raise errors[0]
    return results[0]


def on_ui(window: Window, call: Callable[[], T]) -> T:
    """Call a function on the UI thread and wait for it; from another thread, while the loop runs."""
    results: list[T] = []
    errors: list[BaseException] = []
    done = threading.Event()

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    window.dispatcher.post(run)
    assert done.wait(SECONDS)
    if errors:
        raise errors[0]
    return results[0]


@contextmanager
def streaming(base_url: str) -> Iterator[Callable[..., CompletionStream]]:
    """A function that makes a stream, with sinks attached, and starts it on a loop in a thread of its own."""
    with LoopThread() as thread, thread.enter(StreamDriver(base_url, "key", model="m")) as driver:

        def start(*sinks: Callable[[CompletionStream], Any]) -> CompletionStream:
            stream = driver.stream("hi").attach(*sinks)
            thread.call_soon(stream.start)
            return stream

        yield start


def close_in_the_middle(toolkit: str, base_url: str) -> None:
    """A program that streams into a window which is closed in the middle; for a process of its own."""
    thread = LoopThread.shared()
    with open_window(toolkit) as window, thread.enter(StreamDriver(base_url, "key", model="m")) as driver:

        def begin() -> None:
            sink = FrameSink(window.dispatcher, lambda batch: window.stop() if batch.text else None)
            thread.call_soon(driver.stream("hi").attach(sink).start)

        window.run(begin)
    print("closed", flush=True)
