from __future__ import annotations

import asyncio
import contextvars
import logging
import sys
import threading
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import pytest

from streamkit.tools.running import OutOfTime, run_function

from ..clock import driven, turns

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def running(function: Callable[[], Any], *, is_async: bool = True, timeout: float | None = None) -> Any:
    context = contextvars.copy_context()
    return await run_function(function, name="it", is_async=is_async, timeout=timeout, context=context)


async def test_a_plain_function_runs_in_a_thread_of_its_own_and_an_async_one_on_the_loop():
    async def on_loop() -> int:
        return threading.get_ident()

    assert await running(on_loop) == threading.get_ident()
    thread = await running(threading.current_thread, is_async=False)
    assert thread is not threading.current_thread()
    assert thread.daemon  # one that hangs does not keep the program


async def test_what_a_plain_function_returns_is_awaited_if_it_can_be():
    async def later() -> int:
        return 7

    assert await running(lambda: later(), is_async=False) == 7


@pytest.mark.parametrize("is_async", [True, False])
async def test_it_runs_in_a_copy_of_the_context_that_it_is_given(is_async: bool):
    def plain() -> str:
        before = WHO.get()
        WHO.set("inside")
        return before

    async def on_loop() -> str:
        return plain()

    context = contextvars.copy_context()
    context.run(WHO.set, "caller")
    function: Callable[[], Any] = on_loop if is_async else plain
    for _ in range(2):
        assert await run_function(function, name="it", is_async=is_async, timeout=None, context=context) == "caller"


async def cancels_itself() -> None:
    raise asyncio.CancelledError


async def quits() -> None:
    sys.exit(1)


class NoException(BaseException):
    pass


async def raises_no_exception() -> None:
    raise NoException


def raises_keyboard_interrupt() -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("function", "is_async", "error"),
    [
        (cancels_itself, True, RuntimeError),
        (quits, True, RuntimeError),
        (raises_no_exception, True, RuntimeError),
        (lambda: sys.exit(1), False, RuntimeError),
        (raises_keyboard_interrupt, False, RuntimeError),
        (lambda: next(iter(())), False, RuntimeError),
        (lambda: int("x"), False, ValueError),
        (lambda: asyncio.run(cancels_itself()), False, RuntimeError),
    ],
)
async def test_whatever_it_raises_is_an_exception_of_the_call_and_no_more(function, is_async, error):
    with pytest.raises(error):
        await running(function, is_async=is_async)


@driven
async def test_an_async_function_is_cancelled_when_its_time_is_up():
    ended: list[str] = []

    async def hangs() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")

    with pytest.raises(OutOfTime):
        await running(hangs, timeout=5)
    assert ended == ["cleaned up"]
    assert asyncio.get_running_loop().time() == 1005


@driven
async def test_one_that_will_not_be_cancelled_is_left_behind_after_a_second(caplog):
    stop = asyncio.Event()

    async def stubborn() -> None:
        while not stop.is_set():
            try:
                await stop.wait()
            except asyncio.CancelledError:
                pass
        raise ValueError("nobody hears this")

    with caplog.at_level(logging.WARNING, "streamkit.tools"), pytest.raises(OutOfTime):
        await running(stubborn, timeout=5)
    assert asyncio.get_running_loop().time() == 1006
    assert caplog.messages == ["tool it was cancelled, and runs on"]
    stop.set()
    await turns(3)


async def test_a_thread_that_hangs_is_left_to_itself():
    release, ended = threading.Event(), threading.Event()

    def hangs() -> int:
        release.wait(30)
        ended.set()
        return 7

    with pytest.raises(OutOfTime):
        await running(hangs, is_async=False, timeout=0.01)
    release.set()
    assert await asyncio.to_thread(ended.wait, 30)


async def test_cancelling_the_wait_cancels_the_function():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hangs() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    task = asyncio.create_task(running(hangs))
    await begun.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_a_hundred_threads_at_once_where_the_loops_own_pool_has_fewer():
    barrier = threading.Barrier(100, timeout=30)
    await asyncio.gather(*(running(barrier.wait, is_async=False) for _ in range(100)))
