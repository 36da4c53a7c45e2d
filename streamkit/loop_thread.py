"""An asyncio loop in a thread of its own, for scripts and for toolkits whose event loop is not asyncio's."""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import sys
import threading
from concurrent import futures
from contextlib import contextmanager
from inspect import isawaitable, iscoroutine
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from contextlib import AbstractAsyncContextManager
    from types import TracebackType
    from typing import Self

__all__ = ["LoopThread"]

CLOSE_SECONDS = 5.0
"""How long the exit of the process waits for a loop."""

_T = TypeVar("_T")

log = logging.getLogger("streamkit.loop_thread")


class LoopThread:
    """An asyncio event loop that runs in a daemon thread, from now until `close()` or the exit of the process.

    Args:
        name: of the thread.
        loop_factory: makes the loop; default a selector loop, on Windows a proactor loop. Never the event loop policy:
            GUI toolkits replace it for the whole process, with loops that know no sockets (QtAsyncio) or run only in the
            main thread.

    Everything is safe from any thread. Only what would wait for the loop on the loop's own thread, and so for ever, raises
    RuntimeError: `submit`, `enter`, `close`. So does everything but `close` once the thread is closed, or lost in a fork.

    >>> async def double(number):
    ...     return 2 * number
    >>> with LoopThread() as thread:
    ...     thread.submit(double(21)).result()
    42
    """

    _shared: LoopThread | None = None
    _shared_lock = threading.Lock()

    def __init__(
        self, name: str = "streamkit", *, loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    ) -> None:
        self._loop = _new_loop() if loop_factory is None else loop_factory()
        # Of its own, so that it can be shut down without a thread for that, which Python refuses at exit.
        self._executor = futures.ThreadPoolExecutor(thread_name_prefix=name)
        self._loop.set_default_executor(self._executor)
        self._stop = asyncio.Event()
        self._submitted: dict[futures.Future[Any], Coroutine[Any, Any, Any]] = {}
        """What runs: also the only strong references to its tasks, of which asyncio keeps weak ones."""
        self._closed = False
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        try:
            self._thread.start()
        except RuntimeError:
            self._loop.close()
            raise
        atexit.register(self._close_at_exit)

    @classmethod
    def shared(cls) -> LoopThread:
        """The one of this process: made when first asked for, and again when it was closed, or lost in a fork."""
        with LoopThread._shared_lock:
            if LoopThread._shared is None or not LoopThread._shared.running:
                LoopThread._shared = LoopThread()
            return LoopThread._shared

    @property
    def running(self) -> bool:
        """It takes work: it is neither closed nor lost in a fork, which copies no threads."""
        return not self._closed and self._thread.is_alive()

    @property
    def is_current(self) -> bool:
        """The caller runs on the loop's own thread."""
        return threading.current_thread() is self._thread

    def submit(self, awaitable: Awaitable[_T]) -> futures.Future[_T]:
        """Run a coroutine as a task of the loop, or await what else can be awaited (a stream), in the caller's context.

        Its result, or what it raises, is in the future; cancelling the future cancels the task. If `close` ends it, the
        future is cancelled.

        Raises:
            RuntimeError: see the class. A coroutine is closed then, so that it does not warn.
            TypeError: it cannot be awaited.
        """
        if not isawaitable(awaitable):
            raise TypeError(f"submit takes a coroutine or another awaitable, not {type(awaitable).__name__}")
        coroutine: Coroutine[Any, Any, _T] = awaitable if iscoroutine(awaitable) else _await(awaitable)
        try:
            self._refuse_own_thread("submit")
            with self._lock:
                self._check_running()
                future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
                self._submitted[future] = coroutine
        except RuntimeError:
            coroutine.close()
            raise
        future.add_done_callback(self._submitted.pop)
        return future

    def call_soon(self, function: Callable[..., object], *args: object) -> None:
        """Call a function on the loop, soon; does not wait. Allowed on the loop's own thread, and in finalisers."""
        # No lock: a finaliser may run while its thread holds it.
        self._check_running()
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            raise RuntimeError("this LoopThread is closed") from None

    @contextmanager
    def enter(self, manager: AbstractAsyncContextManager[_T]) -> Iterator[_T]:
        """An async context manager as a plain one: entered and left on the loop, by one task.

        What the body raises is not shown to it; it is left all the same.

        >>> from streamkit import StreamDriver
        >>> with LoopThread() as thread, thread.enter(StreamDriver("http://localhost:8000/v1")) as driver:
        ...     driver
        <StreamDriver http://localhost:8000/v1>
        """
        entered: futures.Future[Any] = futures.Future()
        leave = asyncio.Event()

        async def hold() -> None:
            async with manager as value:
                entered.set_result(value)
                await leave.wait()

        held: futures.Future[Any] = self.submit(hold())
        try:
            futures.wait([entered, held], return_when=futures.FIRST_COMPLETED)
            if entered.done():
                yield entered.result()
        finally:
            if entered.done():
                try:
                    self.call_soon(leave.set)
                except RuntimeError:
                    pass  # closed meanwhile, and so left
                futures.wait([held])
            else:
                held.cancel()
        if not held.cancelled():
            held.result()
        elif not entered.done():
            raise RuntimeError("this LoopThread was closed")

    def close(self, timeout: float | None = 5.0) -> None:
        """Cancel what runs, wait until it has ended, and join the thread. Closing again does nothing.

        First ends what was submitted, which may still use the rest in its `finally`, then the rest.

        Args:
            timeout: how long to wait, in seconds; None: for ever.

        Raises:
            TimeoutError: something blocks the loop or ignores its cancellation; the daemon thread is left behind.
        """
        self._refuse_own_thread("close")
        if not self._thread.is_alive():
            self._closed = True
            return  # in a fork: the loop's selector is still the parent's
        with self._lock:
            if not self._closed:
                self._closed = True
                self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(timeout)
        if self._thread.is_alive():
            raise TimeoutError(
                f"the thread {self._thread.name!r} did not end within {timeout:g} s: "
                "something blocks its loop, or ignores its cancellation"
            )
        atexit.unregister(self._close_at_exit)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<LoopThread {self._thread.name!r}, {'running' if self.running else 'closed'}>"

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._executor.shutdown()
            self._loop.close()

    async def _serve(self) -> None:
        await self._stop.wait()
        tasks = {task.get_coro(): task for task in asyncio.all_tasks()}
        # The latest first, as an ExitStack would; of a copy, since futures end in other threads, too.
        submitted = reversed(self._submitted.copy().values())
        await _end([tasks[coroutine] for coroutine in submitted if coroutine in tasks])
        me = asyncio.current_task()
        while rest := [task for task in asyncio.all_tasks() if task is not me]:
            await _end(rest)
        await self._loop.shutdown_asyncgens()

    def _close_at_exit(self) -> None:
        try:
            self.close(CLOSE_SECONDS)
        except TimeoutError as error:
            log.warning("%s", error)

    def _check_running(self) -> None:
        if self._closed:
            raise RuntimeError("this LoopThread is closed")
        if not self._thread.is_alive():
            raise RuntimeError("this LoopThread was lost in a fork, which copies no threads: make one in this process")

    def _refuse_own_thread(self, verb: str) -> None:
        if self.is_current:
            raise RuntimeError(
                f"LoopThread.{verb} was called on the loop's own thread, which would wait for itself: "
                "await there, or use asyncio.create_task"
            )


def _new_loop() -> asyncio.AbstractEventLoop:
    if sys.platform == "win32":
        return asyncio.ProactorEventLoop()
    return asyncio.SelectorEventLoop()


async def _await(awaitable: Awaitable[_T]) -> _T:
    return await awaitable


async def _end(tasks: list[asyncio.Task[Any]]) -> None:
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _forked() -> None:
    # Another thread of the parent may have held it.
    LoopThread._shared_lock = threading.Lock()  # noqa: SLF001 - this module's own


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
