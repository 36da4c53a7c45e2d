from __future__ import annotations

import asyncio
from typing import Any

import pytest

from streamkit import StreamAborted, StreamError
from streamkit.gui import Batch, DispatcherClosed

from ..fed import call_of
from ..textual.app import Fed, app_of, need_textual, until


@pytest.mark.parametrize("kind", ["Log", "RichLog", "Markdown"])
async def test_stream_is_shown_with_its_ending(kind: str) -> None:
    need_textual()
    from textual import widgets

    from streamkit.gui.textual import bind

    batches, each = list[Batch](), Fed()
    async with app_of(getattr(widgets, kind)) as (app, pilot):
        await pilot.pause()
        view: Any = app.query_one(getattr(widgets, kind))
        bind(each.stream, view, on_batch=batches.append)
        await each.start()
        each.say(reasoning_content="Well.")
        each.say("one ", "two ", "three")
        each.say(tool_calls=call_of("weather", "{}"))
        each.fail(StreamError("the server gave up"))
        await until(lambda: batches and batches[-1].ending is not None)
        await until(lambda: len(app.workers) == 0)
        await each.stream.finished()
        said = view.source if kind == "Markdown" else "\n".join(str(getattr(line, "text", line)) for line in view.lines)

    assert "".join(batch.text for batch in batches) == "one two three"
    assert "Well." in said
    assert "one two three" in said
    assert said.replace("\\", "").rstrip("*\n").endswith("[failed: the server gave up]")


async def test_reasoning_has_a_widget_of_its_own() -> None:
    need_textual()
    from textual.widgets import Log, RichLog

    from streamkit.gui.textual import bind

    each = Fed()
    async with app_of(Log, RichLog) as (app, pilot):
        await pilot.pause()
        view, thoughts = app.query_one(Log), app.query_one(RichLog)
        bind(each.stream, view, reasoning=thoughts)
        await each.start()
        each.say(reasoning_content="Well.")
        each.say("Yes")
        each.finish()
        await until(lambda: view.line_count and thoughts.lines)
        await each.stream.finished()

        assert (list(view.lines), [line.text for line in thoughts.lines]) == (["Yes"], ["Well."])


async def test_stop_aborts_and_is_enabled_only_as_long_as_it_can() -> None:
    need_textual()
    from textual.widgets import Log

    from streamkit.gui.textual import StopButton, bind

    each, other, endings = Fed(), Fed(), list[object]()
    async with app_of(Log, StopButton) as (app, pilot):
        view, stop = app.query_one(Log), app.query_one(StopButton)
        assert stop.disabled
        bind(each.stream, view, stop=stop, on_batch=lambda batch: endings.append(batch.ending))
        bind(other.stream, view, stop=stop)
        await each.start()
        await other.start()
        each.say("one")
        other.finish()
        await other.stream.finished()
        await until(lambda: endings)
        await pilot.pause()
        assert not stop.disabled
        await pilot.click(StopButton)
        await until(lambda: endings[-1] is not None)

        assert stop.disabled
        assert list(view.lines) == ["one", "[stopped]"]
    assert isinstance(endings[-1], StreamAborted)
    assert endings[-1].reason == "the user pressed Stop"


@pytest.mark.parametrize("whole", [True, False])
async def test_widget_that_goes_aborts_the_stream(whole: bool, caplog: pytest.LogCaptureFixture) -> None:
    need_textual()
    from textual.widgets import Markdown

    from streamkit.gui.textual import StopButton, bind

    each = Fed()
    async with app_of(Markdown, StopButton) as (app, pilot):
        view = app.query_one(Markdown)
        bind(each.stream, view, stop=app.query_one(StopButton))
        await each.start()
        each.say("one")
        await until(lambda: view.source == "one")
        if whole:
            app.exit()
        else:
            await view.remove()
            await until(lambda: app.query_one(StopButton).disabled)
        await pilot.pause()
    await each.stream.finished()

    assert each.stream.completion.ended_by == "abort"
    assert [record.getMessage() for record in caplog.records if record.name.startswith("streamkit")] == []


async def test_unbind_ends_the_showing_and_not_the_stream() -> None:
    need_textual()
    from textual.widgets import Log

    from streamkit.gui.textual import StopButton, bind

    each = Fed()
    async with app_of(Log, StopButton) as (app, pilot):
        view, stop = app.query_one(Log), app.query_one(StopButton)
        unbind = bind(each.stream, view, stop=stop)
        await each.start()
        each.say("one")
        await until(lambda: view.line_count)
        unbind()
        unbind()
        each.say("two")
        each.finish()
        await each.stream.finished()
        await pilot.pause()

        assert (each.stream.completion.text, list(view.lines), stop.disabled) == ("onetwo", ["one"], True)


async def test_argument_of_another_kind_is_named_and_nothing_is_left_behind() -> None:
    need_textual()
    from textual.widgets import Button, Log

    from streamkit.gui.textual import StopButton, bind

    each = Fed()
    async with app_of(Log, StopButton) as (app, pilot):
        view, stop = app.query_one(Log), app.query_one(StopButton)
        stream = each.stream
        wrong: Any = bind  # for the type checkers
        for arguments, options, message in (
            (("stream", view), {}, "stream must be a CompletionStream, not a str"),
            ((stream, stop), {}, "widget must be a Log, a RichLog or a Markdown of Textual, not a StopButton"),
            ((stream, view), {"reasoning": "x"}, "reasoning must be a Log, a RichLog or a Markdown of Textual"),
            ((stream, view), {"stop": Button()}, "stop must be a streamkit.gui.textual.StopButton, not a Button"),
            ((stream, view), {"on_batch": 1}, "on_batch must be callable, not int"),
        ):
            with pytest.raises(TypeError, match=f"^{message}"):
                wrong(*arguments, **options)
        with pytest.raises(ValueError, match="fps must be"):
            bind(stream, view, stop=stop, fps=0)
        await pilot.pause()

        assert stop.disabled
        assert stream.listener_count("done") == 0
        assert len(app.workers) == 0
        await view.remove()
        with pytest.raises(DispatcherClosed):
            bind(stream, view)


async def test_stream_of_another_thread_is_shown_as_well() -> None:
    need_textual()
    from textual.widgets import Log

    from streamkit.gui.textual import bind

    from ..fed import fed

    with fed() as make:
        async with app_of(Log) as (app, _):
            each, view = make(), app.query_one(Log)
            bind(each.stream, view)
            await asyncio.to_thread(each.start)
            each.say("one")
            each.finish()
            await until(lambda: view.line_count)

            assert list(view.lines) == ["one"]
