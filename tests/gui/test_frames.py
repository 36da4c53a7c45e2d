from __future__ import annotations

import gc
import logging
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from streamkit import CompletionStream, ListenerError, StreamAborted, StreamError
from streamkit.gui import AsyncioDispatcher, Batch, DispatcherClosed, FrameSink, PumpDispatcher
from streamkit.testing import chunk, sse

from ..clock import driven, turns
from ..stream.scripted import END, ScriptedSource, feed_of, text_reads

if TYPE_CHECKING:
    from collections.abc import Callable

    from streamkit.gui.dispatcher import Call


class Screen:
    """A pump whose clock the test moves, and what was shown on it."""

    def __init__(self, fps: float = 10, max_chars: int = 4096, **options: Any) -> None:
        self.now = 0.0
        self.dispatcher = PumpDispatcher(clock=lambda: self.now)
        self.batches: list[Batch] = []
        self.sink = FrameSink(self.dispatcher, self.batches.append, fps, max_chars, clock=lambda: self.now, **options)

    def frame(self, at: float) -> list[str]:
        """What is shown until then."""
        self.now = at
        shown = len(self.batches)
        for _ in range(3):  # a call may post another one
            self.dispatcher.pump()
        return [batch.text for batch in self.batches[shown:]]


async def running(*items: Any, sink: FrameSink) -> tuple[ScriptedSource, CompletionStream]:
    source = ScriptedSource(list(items))
    stream = CompletionStream(source).attach(sink).start()
    await turns(10)
    return source, stream


async def say(source: ScriptedSource, *texts: str) -> None:
    source.push(*text_reads(*texts))
    await turns(10)


# --- frames -----------------------------------------------------------------------------------------------------------


@driven
async def test_first_text_comes_at_once_and_then_one_batch_a_frame() -> None:
    screen = Screen(fps=10)
    source, stream = await running(sink=screen.sink)

    await say(source, "a")
    assert screen.frame(0.01) == ["a"]
    await say(source, "b", "c")
    assert screen.frame(0.02) == []
    await say(source, "d")
    assert screen.frame(0.10) == []
    assert screen.frame(0.11) == ["bcd"]
    assert screen.frame(0.90) == []
    await say(source, "e")
    assert screen.frame(0.91) == ["e"], "after a pause the next text is a first one again"
    source.push(feed_of(), END)
    await stream
    assert screen.frame(0.92) == []
    assert screen.frame(1.02) == [""]
    assert screen.batches[-1].ending is stream.completion


@driven
async def test_at_most_one_call_is_on_its_way() -> None:
    screen = Screen()
    source, stream = await running(sink=screen.sink)
    for word in "abcdefgh":
        await say(source, word)

    assert len(screen.dispatcher._posted) == 1
    assert screen.frame(0.0) == ["abcdefgh"]
    await say(source, "i", "j")
    screen.dispatcher.pump()
    assert (len(screen.dispatcher._posted), len(screen.dispatcher._timers)) == (0, 1)
    stream.abort()
    await stream.finished()


@driven
async def test_flood_is_shown_a_cap_a_frame_and_the_ending_after_it() -> None:
    screen = Screen(fps=10, max_chars=4)
    stream = CompletionStream(ScriptedSource([feed_of("0123456789"), END])).attach(screen.sink)
    await stream

    shown = [screen.frame(at / 10 + 0.001) for at in range(5)]

    assert shown == [["0123"], ["4567"], ["89"], [], []]
    assert [batch.ending for batch in screen.batches] == [None, None, stream.completion]


@driven
async def test_what_comes_while_the_ui_is_blocked_waits_joined() -> None:
    screen = Screen(max_chars=100_000)
    words = [f"word {number} " for number in range(2_000)]
    stream = CompletionStream(ScriptedSource([feed_of(*words), END])).attach(screen.sink)
    await stream

    assert len(screen.dispatcher._posted) == 1
    [frames] = screen.sink._frames
    assert len(frames.inbox._backlog._events) == 1
    assert screen.frame(5.0) == ["".join(words)]


# --- endings ----------------------------------------------------------------------------------------------------------


@driven
@pytest.mark.parametrize("how", ["done", "error", "abort", "cancel", "unstarted"])
async def test_every_ending_is_last_and_once(how: str) -> None:
    screen = Screen()
    source = ScriptedSource()
    stream = CompletionStream(source)
    FrameSink.__call__(screen.sink, stream)
    if how == "unstarted":
        stream.abort()
    else:
        stream.start()
        await turns(5)
        await say(source, "text")
    if how == "done":
        source.push(feed_of(), END)
    elif how == "error":
        source.push(StreamError("broken"))
    elif how == "abort":
        stream.abort()
    elif how == "cancel":
        assert stream._task is not None
        stream._task.cancel()
    stream.start()
    await stream.finished()
    for at in range(5):
        screen.frame(float(at))

    assert [batch.ending for batch in screen.batches[:-1]] == [None] * (len(screen.batches) - 1)
    ending = screen.batches[-1].ending
    expected = {"done": "Completion", "error": "StreamError"}.get(how, "StreamAborted")
    assert type(ending).__name__ == expected
    assert "".join(batch.text for batch in screen.batches) == ("" if how == "unstarted" else "text")
    assert screen.sink._frames == set()
    assert screen.dispatcher._owner._on_close == {}


@driven
async def test_late_sink_hears_first_what_was_said_and_how_it_ended() -> None:
    screen = Screen()
    feed = sse(chunk(reasoning="hm"), chunk("a"), chunk("b"), chunk(finish_reason="stop"))
    stream = CompletionStream(ScriptedSource([feed, END]))
    await stream

    stream.attach(screen.sink)
    await turns(5)
    for at in range(5):
        screen.frame(float(at))

    assert [event.name for batch in screen.batches for event in batch.events] == ["reasoning", "text"]
    assert screen.batches[-1].ending == stream.completion


# --- one sink, many streams -------------------------------------------------------------------------------------------


@driven
async def test_one_sink_shows_streams_one_after_the_other_and_together() -> None:
    screen = Screen()
    texts = ["first", "second", "third"]
    one, two, three = (CompletionStream(ScriptedSource([feed_of(text), END])).attach(screen.sink) for text in texts)
    await one
    screen.frame(1.0)
    await two
    await three
    screen.frame(2.0)

    assert [batch.text for batch in screen.batches] == texts
    assert [batch.ending for batch in screen.batches] == [one.completion, two.completion, three.completion]


@driven
async def test_close_silences_what_is_attached_and_takes_new_streams() -> None:
    screen = Screen()
    source, stream = await running(*text_reads("old"), sink=screen.sink)
    screen.sink.close()
    await say(source, "more")
    stream.abort()
    await stream.finished()
    await CompletionStream(ScriptedSource([feed_of("new"), END])).attach(screen.sink)

    assert screen.frame(1.0) == ["new"]
    assert len([batch for batch in screen.batches if batch.ending is not None]) == 1


@driven
async def test_other_events_are_handed_over_when_asked_for() -> None:
    screen = Screen(events=["usage", "text"])
    feed = sse(chunk("a"), chunk(usage={"total_tokens": 7}), chunk(finish_reason="stop"))
    await CompletionStream(ScriptedSource([feed, END])).attach(screen.sink)
    screen.frame(1.0)

    assert [event.name for event in screen.batches[0].events] == ["text", "usage"]


@driven
async def test_stream_that_was_shown_leaves_nothing_behind() -> None:
    screen = Screen()
    stream = CompletionStream(ScriptedSource([feed_of("a"), END])).attach(screen.sink)
    await stream
    screen.frame(1.0)
    screen.batches.clear()
    gone = weakref.ref(stream)
    del stream
    gc.collect()

    assert gone() is None


# --- what goes wrong --------------------------------------------------------------------------------------------------


@driven
async def test_dispatcher_that_closes_meanwhile_is_no_error(caplog: pytest.LogCaptureFixture) -> None:
    screen = Screen()
    source, stream = await running(*text_reads("a"), sink=screen.sink)
    screen.frame(0.0)
    screen.dispatcher._owner.closed = True  # it died, and nobody has been told yet
    await say(source, "b", "c")
    source.push(feed_of(), END)
    await stream

    assert [batch.text for batch in screen.batches] == ["a"]
    assert screen.sink._frames == set()
    assert caplog.records == []


class Broken:
    """A dispatcher with a bug in `post` or in `later`."""

    def __init__(self, bug: str) -> None:
        self.bug = bug
        self.calls: list[Call] = []
        self.broken = 0

    def post(self, call: Call, /) -> None:
        self._do(call, "post")

    def later(self, seconds: float, call: Call, /) -> None:
        self._do(call, "later")

    def on_close(self, call: Call, /) -> Call:
        return lambda: None

    def _do(self, call: Call, what: str) -> None:
        if what == self.bug:
            self.broken += 1
            raise TypeError("a bug")
        self.calls.append(call)


@driven
async def test_bug_in_post_is_reported_once_and_hurts_nobody_else() -> None:
    """Taken for the end of the window, it would leave an empty one."""
    dispatcher, heard, errors = Broken("post"), list[str](), list[ListenerError]()
    stream = CompletionStream(ScriptedSource([feed_of("a", "b", "c"), END]))
    stream.attach(FrameSink(dispatcher, print))
    stream.on("text", heard.append)
    stream.on("listener_error", errors.append)
    await stream

    assert heard == ["a", "b", "c"]
    assert [type(error.__cause__) for error in errors] == [TypeError]
    assert dispatcher.broken == 1


@driven
async def test_bug_in_later_comes_out_in_the_ui() -> None:
    dispatcher, batches = Broken("later"), list[Batch]()
    sink = FrameSink(dispatcher, batches.append, fps=0.001, max_chars=1)
    stream = CompletionStream(ScriptedSource([feed_of("ab"), END])).attach(sink)
    await stream

    with pytest.raises(TypeError, match="a bug"):
        dispatcher.calls[0]()

    assert [batch.text for batch in batches] == ["a"]
    assert sink._frames == set()


@driven
async def test_on_batch_that_raises_is_logged_and_called_again(caplog: pytest.LogCaptureFixture) -> None:
    now, dispatcher, endings = 0.0, PumpDispatcher(clock=lambda: now), list[object]()

    def show(batch: Batch) -> None:
        endings.append(batch.ending)
        raise LookupError("no such widget")

    sink = FrameSink(dispatcher, show, 10, 1, clock=lambda: now)
    stream = CompletionStream(ScriptedSource([feed_of("ab"), END])).attach(sink)
    await stream
    for now in (0.0, 1.0, 2.0):  # noqa: B007 - the clock's
        dispatcher.pump()

    assert endings == [None, stream.completion]
    assert [record.name for record in caplog.records] == ["streamkit.gui"] * 2
    assert caplog.records[0].levelno == logging.ERROR
    assert "show, which shows a stream, raised" in caplog.text
    assert "no such widget" in caplog.text


@driven
async def test_on_batch_that_opens_a_dialog_is_not_called_inside_itself() -> None:
    now, dispatcher, shown = 0.0, PumpDispatcher(clock=lambda: now), list[str]()
    source = ScriptedSource(text_reads("a"))

    def show(batch: Batch) -> None:
        nonlocal now
        if batch.text == "a":
            frames = next(iter(sink._frames))
            frames.inbox._backlog.add("text", "b", 0.0)  # it came meanwhile
            now += 5
            dispatcher.pump()  # as a modal dialog runs the toolkit's loop
        shown.append(batch.text)

    sink = FrameSink(dispatcher, show, clock=lambda: now)
    stream = CompletionStream(source).attach(sink).start()
    await turns(10)
    dispatcher.pump()
    assert shown == ["a"]
    now += 1
    dispatcher.pump()
    stream.abort()
    await stream.finished()

    assert shown == ["a", "b"]


@driven
async def test_window_that_is_closed_while_a_batch_is_shown_hears_no_more() -> None:
    dispatcher, shown = PumpDispatcher(), list[str]()

    def show(batch: Batch) -> None:
        shown.append(batch.text)
        dispatcher.close()

    stream = CompletionStream(ScriptedSource([feed_of("abc"), END])).attach(FrameSink(dispatcher, show, max_chars=1))
    await stream
    dispatcher.pump()

    assert shown == ["a"]
    with pytest.raises(DispatcherClosed):
        stream.attach(FrameSink(dispatcher, show))


@driven
async def test_stream_without_the_event_is_refused_and_nothing_stays() -> None:
    screen = Screen(events=["tool_result"])
    stream = CompletionStream(ScriptedSource())

    with pytest.raises(ValueError, match="unknown event 'tool_result'"):
        stream.attach(screen.sink)

    assert screen.sink._frames == set()
    assert screen.dispatcher._owner._on_close == {}


@driven
async def test_async_on_batch_that_hides_it_is_named(caplog: pytest.LogCaptureFixture) -> None:
    async def show(batch: Batch) -> None:
        raise AssertionError

    dispatcher = PumpDispatcher()
    await CompletionStream(ScriptedSource([feed_of("a"), END])).attach(FrameSink(dispatcher, lambda batch: show(batch)))
    dispatcher.pump()

    assert "on_batch must be a plain function of one Batch, not an async one" in caplog.text


async def coroutine_function(batch: Batch) -> None: ...


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (
            lambda d: FrameSink(print, print),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
            TypeError,
            "dispatcher must have post, later and on_close, as QtDispatcher",
        ),
        (lambda d: FrameSink(d, None), TypeError, "on_batch must be a plain function of one Batch, not NoneType"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (lambda d: FrameSink(d, coroutine_function), TypeError, "one Batch, not an async function"),
        (lambda d: FrameSink(d, print, 0), ValueError, "fps must be a number of frames a second, more than 0, not 0"),
        (lambda d: FrameSink(d, print, float("nan")), ValueError, "fps must be .* not nan"),
        (lambda d: FrameSink(d, print, True), ValueError, "fps must be .* not True"),
        (lambda d: FrameSink(d, print, max_chars=0), ValueError, "max_chars must be a whole number, 1 or more, not 0"),
        (lambda d: FrameSink(d, print, events="text"), TypeError, r"events must be several names, as \('text',\)"),
    ],
)
def test_argument_that_makes_no_sense_is_named(
    make: Callable[[PumpDispatcher], FrameSink], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        make(PumpDispatcher())


@driven
async def test_failure_that_a_window_shows_is_not_logged_as_unheard(caplog: pytest.LogCaptureFixture) -> None:
    """Called with the stream, and not attached, it is its listener as any other."""
    with AsyncioDispatcher() as dispatcher:
        batches: list[Batch] = []
        stream = CompletionStream(ScriptedSource([StreamError("broken")]))
        FrameSink(dispatcher, batches.append)(stream)
        await stream.start().finished()
        await turns(5)
        del stream
        gc.collect()

    assert isinstance(batches[-1].ending, StreamError)
    assert not isinstance(batches[-1].ending, StreamAborted)
    assert caplog.records == []
