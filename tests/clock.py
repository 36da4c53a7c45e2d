"""An event loop whose clock the test drives: timers fire in order, and nobody sleeps."""

from __future__ import annotations

import asyncio
import functools
import gc
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

__all__ = ["DrivenLoop", "driven", "run", "turns"]

P = ParamSpec("P")
T = TypeVar("T")


class DrivenLoop(asyncio.SelectorEventLoop):
    """A loop whose clock stands still while anything can run, and jumps to the next timer when nothing can.

    For tests that have no socket: whoever waits for another thread waits in real time only as long as no timer is due.
    """

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_DrivenSelector(self))

    def time(self) -> float:
        return self.now


class _DrivenSelector(selectors.DefaultSelector):
    def __init__(self, loop: DrivenLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or timeout <= 0:
            return super().select(timeout)
        events = super().select(0)
        if not events:
            self._loop.now += timeout
        return events


def run(
    main: Callable[[], Coroutine[Any, Any, T]],
    *,
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = DrivenLoop,
    eager: bool = False,
    debug: bool = True,
) -> T:
    """Run a coroutine function on a loop of its own; fail if it leaves a task behind or something unhandled.

    Args:
        main: what to run.
        loop_factory: which loop; the driven one by default.
        eager: with asyncio's eager task factory (Python 3.12 and later).
        debug: asyncio's debug mode.
    """
    unhandled: list[dict[str, Any]] = []

    async def checked() -> T:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: unhandled.append(context))
        if eager:
            loop.set_task_factory(getattr(asyncio, "eager_task_factory"))  # noqa: B009 - the oldest Python has none
        result = await main()
        await turns(10)  # what was cancelled, or has a callback due, may end
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"tasks left behind: {left}"
        if debug:
            gc.collect()  # coroutines never awaited and failures never retrieved complain when they are collected: here
        return result

    with asyncio.Runner(loop_factory=loop_factory, debug=debug) as runner:
        result = runner.run(checked())
    assert not unhandled, f"the loop had to handle: {unhandled}"
    return result


async def turns(count: int) -> None:
    """Let the loop turn so many times."""
    for _ in range(count):
        await asyncio.sleep(0)


def driven(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Make an async test a plain one that runs on a `DrivenLoop`; it holds the test to what `run` checks."""

    @functools.wraps(test)
    def on_driven_loop(*args: P.args, **kwargs: P.kwargs) -> None:
        run(functools.partial(test, *args, **kwargs))

    return on_driven_loop
