"""Running a function that may block, hang, raise anything or refuse to be cancelled, and still going on."""

from __future__ import annotations

import asyncio
import inspect
import logging
import threading
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["OutOfTime", "run_function"]

_GRACE: Final = 1.0
"""Seconds that a cancelled function has to clean up; after that nobody waits for it."""

_left_behind: set[asyncio.Task[Any]] = set()
"""Functions that would not be cancelled: the loop itself holds no task."""

log = logging.getLogger("streamkit.tools")


class OutOfTime(Exception):
    """A function took longer than it was given. No TimeoutError: the function may raise one itself."""


async def run_function(
    function: Callable[[], Any], *, name: str, is_async: bool, timeout: float | None, context: Context
) -> Any:  # noqa: ANN401 - whatever it returns
    """Call a function, on the loop if it is async, else in a thread of its own; what it returns is awaited if it can be.

    It runs in a copy of `context`. Raises OutOfTime after `timeout` seconds, and what the function raises; an exit
    (`sys.exit`) and its own CancelledError as RuntimeError. Where it is cancelled, so is the function. A thread cannot be
    cancelled: it is left to itself, and does not keep the program from ending.
    """
    loop = asyncio.get_running_loop()
    work = loop.create_task(
        _work(function, name, is_async=is_async), name=f"streamkit.tool {name}", context=context.copy()
    )
    try:
        await asyncio.wait([work], timeout=timeout)
        if not work.done():
            raise OutOfTime
    finally:
        if not work.done():
            await _give_up(work, name)
    if work.cancelled():
        raise RuntimeError("the function was cancelled, and not by streamkit")
    return work.result()


async def _work(function: Callable[[], Any], name: str, *, is_async: bool) -> Any:  # noqa: ANN401 - as above
    try:
        value = function() if is_async else await _in_thread(function, name)
        return await value if inspect.isawaitable(value) else value
    except SystemExit as exit_:
        raise RuntimeError("the function tried to end the program") from exit_
    except (Exception, asyncio.CancelledError, KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        raise RuntimeError(type(error).__name__) from error  # as itself it would end whoever waits for it


async def _give_up(work: asyncio.Task[Any], name: str) -> None:
    work.cancel()
    work.add_done_callback(_heed)
    _left_behind.add(work)
    await asyncio.wait([work], timeout=_GRACE)
    if not work.done():
        log.warning("tool %s was cancelled, and runs on", name)


def _heed(work: asyncio.Task[Any]) -> None:
    """Nobody wants to know any more how it ended."""
    _left_behind.discard(work)
    if not work.cancelled():
        work.exception()


async def _in_thread(function: Callable[[], Any], name: str) -> Any:  # noqa: ANN401 - as above
    """Not in the loop's executor: it has few threads, and waits for all of them before the program may end."""
    loop = asyncio.get_running_loop()
    result: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(value: object, error: Exception | None) -> None:
        if result.done():
            return  # given up
        if error is None:
            result.set_result(value)
        else:
            result.set_exception(error)

    def run() -> None:
        value: object = None
        failure: Exception | None = None
        try:
            value = context.run(function)
        except (KeyboardInterrupt, SystemExit) as exit_:
            failure = RuntimeError("the function tried to end the program")
            failure.__cause__ = exit_
        except StopIteration as stop:  # no future takes one
            failure = RuntimeError("the function raised StopIteration")
            failure.__cause__ = stop
        except BaseException as error:  # noqa: BLE001 - whatever it is, the model is told of it
            failure = error if isinstance(error, Exception) else RuntimeError(type(error).__name__)
        try:
            loop.call_soon_threadsafe(settle, value, failure)
        except RuntimeError:
            pass  # the loop is closed, and nobody waits any more

    threading.Thread(target=run, name=f"streamkit.tool {name}", daemon=True).start()
    return await result
