from __future__ import annotations

import asyncio

import pytest

from streamkit.gui import AsyncioDispatcher, DispatcherClosed

from ..clock import driven, turns


def test_it_is_made_where_a_loop_runs_or_given_one() -> None:
    with pytest.raises(RuntimeError, match="no event loop runs here: make the AsyncioDispatcher inside async code"):
        AsyncioDispatcher()


def test_closed_loop_is_a_closed_dispatcher() -> None:
    loop = asyncio.SelectorEventLoop()
    dispatcher = AsyncioDispatcher(loop)
    dispatcher.post(lambda: None)
    loop.close()

    for use in (dispatcher.post, lambda call: dispatcher.later(0, call)):
        with pytest.raises(DispatcherClosed, match="the event loop of the user interface is closed"):
            use(print)


@driven
async def test_what_a_call_raises_is_the_loops_to_report() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context["exception"]))
    with AsyncioDispatcher() as dispatcher:
        dispatcher.post(lambda: 1 / 0)
        dispatcher.post(lambda: reported.append("next"))
        await turns(2)

    assert [type(each) for each in reported] == [ZeroDivisionError, str]


@driven
async def test_later_keeps_the_loops_time() -> None:
    loop, called = asyncio.get_running_loop(), list[float]()
    with AsyncioDispatcher() as dispatcher:
        begun = loop.time()
        dispatcher.later(2.5, lambda: called.append(loop.time() - begun))
        dispatcher.later(9.0, lambda: called.append(-1.0))
        await asyncio.sleep(5)
    await asyncio.sleep(5)

    assert called == [2.5]
