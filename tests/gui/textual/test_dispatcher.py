"""What only Textual's dispatcher does; what all do is in test_contract.py."""

from __future__ import annotations

import asyncio

import pytest

from streamkit.gui import DispatcherClosed

from ..textual.app import app_of, need_textual, until


async def test_timer_that_a_call_sets_fires() -> None:
    """It needs the app in its context, which a call from another thread would not have."""
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    fired: list[str] = []
    async with app_of(Label) as (app, _):
        dispatcher = TextualDispatcher(app)
        call = lambda: app.set_timer(0.001, lambda: fired.append("fired"))  # noqa: E731 - posted below
        await asyncio.to_thread(dispatcher.post, call)
        await until(lambda: fired)


async def test_removed_widget_closes_it_though_nobody_waits_for_that() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    called: list[str] = []
    async with app_of(Label) as (app, _):
        label = app.query_one(Label)
        dispatcher = TextualDispatcher(label)
        dispatcher.post(lambda: called.append("called"))
        await until(lambda: called)
        await label.remove()
        with pytest.raises(DispatcherClosed, match="the Label is closed"):
            dispatcher.post(lambda: called.append("too late"))
        with pytest.raises(DispatcherClosed, match="the Label is not mounted"):
            TextualDispatcher(label)

    assert called == ["called"]


async def test_what_was_posted_before_the_widget_went_is_not_called() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    called: list[str] = []
    async with app_of(Label) as (app, _):
        label = app.query_one(Label)
        dispatcher = TextualDispatcher(label)
        dispatcher.later(0.01, lambda: called.append("called"))
        await label.remove()
        await asyncio.sleep(0.05)

    assert called == []


async def test_it_waits_for_the_end_of_its_node_only_while_someone_wants_to_know() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    async with app_of(Label) as (app, pilot):
        dispatcher = TextualDispatcher(app.query_one(Label))
        assert len(app.workers) == 0
        forget = dispatcher.on_close(print)
        second = dispatcher.on_close(print)
        await until(lambda: len(app.workers) == 1)
        forget()
        forget()
        await pilot.pause()
        assert len(app.workers) == 1
        second()
        await until(lambda: len(app.workers) == 0)


async def test_taking_back_after_the_end_does_nothing() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    told: list[str] = []
    async with app_of(Label) as (app, _):
        dispatcher = TextualDispatcher(app.query_one(Label))
        forget = dispatcher.on_close(lambda: told.append("closed"))
        await until(lambda: len(app.workers) == 1)
        dispatcher.close()
        dispatcher.close()
        forget()

    assert told == ["closed"]


async def test_widget_that_goes_before_the_wait_begins_is_noticed() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    told: list[str] = []
    async with app_of(Label) as (app, _):
        label = app.query_one(Label)
        dispatcher = TextualDispatcher(label)
        removal = label.remove()
        dispatcher.on_close(lambda: told.append("closed"))
        await removal
        await until(lambda: told)

    assert told == ["closed"]


def test_app_whose_loop_is_closed_is_a_closed_dispatcher() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    made: list[TextualDispatcher] = []

    async def main() -> None:
        async with app_of(Label) as (app, _):
            made.append(TextualDispatcher(app))

    asyncio.run(main())

    for use in (made[0].post, made[0].on_close):
        with pytest.raises(DispatcherClosed):
            use(print)


async def test_made_where_it_cannot_work_it_says_so() -> None:
    need_textual()
    from textual.widgets import Label

    from streamkit.gui.textual import TextualDispatcher

    with pytest.raises(TypeError, match="node must be a widget, a screen or an app of Textual, not a str"):
        TextualDispatcher("app")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType] - what is tested
    async with app_of(Label) as (app, _):

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="no event loop runs here"):
                TextualDispatcher(app)

        await asyncio.to_thread(elsewhere)
