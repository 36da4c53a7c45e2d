from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from pyee import EventEmitter
from pyee.asyncio import AsyncIOEventEmitter

from streamkit import Completion, CompletionStream, ListenerError, RetryPolicy, StreamAborted, StreamError
from streamkit.settings import Settings
from streamkit.subscriptions import EVENTS
from streamkit.testing import chunk, sse

from .clock import driven, turns
from .stream.scripted import END, Item, ScriptedSource, feed_of, heard, is_grammatical, spaced, text_reads, untyped

FINISH = sse(chunk(finish_reason="stop"))


def stream_of(*items: Item, emitter: EventEmitter | None = None, **settings: Any) -> CompletionStream:
    settings = {"retry": RetryPolicy(retries=0), **settings}
    return CompletionStream(ScriptedSource(items), settings=Settings(**settings), emitter=emitter)


def records(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "streamkit.listeners"]


def fail(_: object) -> None:
    raise ValueError("a bug in a listener")


async def fail_later(_: object) -> None:
    await asyncio.sleep(0)
    raise ValueError("a bug in a listener")


def cancel(_: object) -> None:
    raise asyncio.CancelledError


async def cancel_later(_: object) -> None:
    await asyncio.sleep(0)
    raise asyncio.CancelledError


FAILURES = [fail, fail_later, cancel, cancel_later]


# --- isolation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", FAILURES)
@pytest.mark.parametrize("event", [name for name in EVENTS if name not in {"listener_error", "end", "abort", "error"}])
@driven
async def test_a_listener_that_raises_is_reported_once_and_nothing_else_happens(bad, event, caplog):
    tool = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}])
    feed = sse(
        b": beat\n\n",
        chunk("a", reasoning_content="r", refusal="n"),
        "{",
        tool,
        chunk(finish_reason="stop", usage={"total_tokens": 1}),
    )
    failed = StreamError("busy", retryable=True)
    source = ScriptedSource(failed, [*text_reads("b"), 70.0, feed, END])
    stream = CompletionStream(source)
    events = heard(stream)
    before: list[object] = []
    after: list[object] = []
    failures: list[ListenerError] = []
    untyped(stream).on(event, before.append)
    untyped(stream).once(event, bad)
    untyped(stream).on(event, after.append)
    stream.on("listener_error", failures.append)
    completion = await stream
    assert completion.text == "ba"
    assert completion.ended_by == "done"
    assert is_grammatical(events)
    assert len(before) == len(after) >= 1
    assert before == after
    (failure,) = failures
    assert isinstance(failure, ListenerError)
    assert (failure.event, failure.listener) == (event, bad)
    assert isinstance(failure.__cause__, asyncio.CancelledError if "cancel" in bad.__name__ else ValueError)
    assert not records(caplog)


@pytest.mark.parametrize("bad", FAILURES)
@pytest.mark.parametrize("event", ["error", "abort"])
@driven
async def test_a_failing_listener_of_a_bad_ending_changes_nothing(bad, event):
    stream = stream_of(*text_reads("a"), *([StreamError("cut")] if event == "error" else []))
    failures: list[ListenerError] = []
    events = heard(stream)
    untyped(stream).on(event, bad)
    stream.on("listener_error", failures.append)
    if event == "abort":
        stream.on("text", lambda _: stream.abort())
    with pytest.raises(StreamError if event == "error" else StreamAborted):
        await stream
    assert [failure.event for failure in failures] == [event]
    assert is_grammatical(events)


@pytest.mark.parametrize("bad", FAILURES)
@driven
async def test_without_a_listener_of_listener_error_it_is_logged_once_with_its_traceback(bad, caplog):
    stream = stream_of(feed_of("secret prompt"), END)
    stream.on("text", bad)
    await stream
    (record,) = caplog.records
    assert record.name == "streamkit.listeners"
    assert record.levelname == "ERROR"
    assert bad.__name__ in record.getMessage()
    assert "'text'" in record.getMessage()
    assert record.exc_info[1].__class__ in {ValueError, asyncio.CancelledError}
    assert "secret" not in caplog.text


@pytest.mark.parametrize("bad", FAILURES)
@driven
async def test_a_failing_listener_of_listener_error_is_only_logged(bad, caplog):
    stream = stream_of(feed_of("a", "b"), END)
    failures: list[ListenerError] = []
    stream.on("listener_error", bad)
    stream.on("listener_error", failures.append)
    stream.on("text", fail)
    assert (await stream).text == "ab"
    assert [failure.event for failure in failures] == ["text", "text"]
    assert len(records(caplog)) == 2
    assert all("'listener_error'" in record for record in records(caplog))


@pytest.mark.parametrize("bad", FAILURES)
@driven
async def test_a_failing_listener_of_end_is_only_logged(bad, caplog):
    stream = stream_of(feed_of("a"), END)
    failures: list[ListenerError] = []
    log: list[str] = []
    stream.on("end", bad)
    stream.on("end", lambda _: log.append("end"))
    stream.on("listener_error", failures.append)
    await stream
    assert log == ["end"]
    assert failures == []
    assert len(records(caplog)) == 1


@driven
async def test_a_failing_star_listener_is_reported_for_star_and_does_not_recurse(caplog):
    stream = stream_of(feed_of("a"), END)
    failures: list[ListenerError] = []
    stream.on("*", fail)
    stream.on("listener_error", failures.append)
    events = heard(stream)
    await stream
    assert {failure.event for failure in failures} == {"*"}
    # That of "end" is the one that comes too late to be told.
    assert len(failures) == len(events) - 1
    assert len(records(caplog)) == 1


@driven
async def test_a_late_listener_that_fails_is_not_reported_after_the_end(caplog):
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    stream.on("listener_error", lambda failure: log.append(f"listener_error {failure.event}"))

    @stream.on("end")
    def ended(_: object) -> None:
        log.append("end")
        stream.on("done", fail, replay=True)
        stream.on("text", fail_later, replay=True)

    await stream
    await turns(5)
    assert log == ["end"]
    assert len(records(caplog)) == 2


@driven
async def test_policy_log_lets_await_return(caplog):
    stream = stream_of(feed_of("a"), END, listener_errors="log")
    stream.on("text", fail)
    assert (await stream).text == "a"
    assert len(records(caplog)) == 1


@driven
async def test_policy_raise_raises_the_first_failure_after_the_end(caplog):
    stream = stream_of(feed_of("a", "b"), END, listener_errors="raise")
    log: list[str] = []

    def bad(text: str) -> None:
        raise ValueError(text)

    stream.on("text", bad)
    stream.on("done", lambda _: log.append("done"))
    stream.on("end", lambda _: log.append("end"))
    with pytest.raises(ListenerError, match="bad raised while it handled 'text'") as caught:
        await stream
    assert str(caught.value.__cause__) == "a"
    assert log == ["done", "end"]
    assert stream.completion.ended_by == "done"
    with pytest.raises(ListenerError):
        await stream


@driven
async def test_policy_raise_gives_way_to_the_failure_of_the_stream():
    cut = StreamError("cut")
    stream = stream_of(*text_reads("a"), cut, listener_errors="raise")
    stream.on("text", fail)
    with pytest.raises(StreamError) as caught:
        await stream
    assert caught.value is cut


@pytest.mark.parametrize("bad", FAILURES)
@driven
async def test_policy_detach_removes_who_raised(bad, caplog):
    stream = stream_of(*spaced(text_reads("a", "b", "c"), 5), FINISH, END, listener_errors="detach")
    log: list[str] = []
    stream.on("text", bad)
    stream.on("text", log.append)
    await stream
    assert log == ["a", "b", "c"]
    assert len(records(caplog)) == 1


# --- the emitter ----------------------------------------------------------------------------------------------------


@driven
async def test_a_plain_listener_on_the_emitter_that_raises_is_reported_and_the_relay_is_called(caplog):
    emitter = EventEmitter()
    emitter.on("text", fail)
    emitter.on("chunk", fail)
    stream = stream_of(feed_of("a", "b"), END, emitter=emitter)
    log: list[str] = []
    failures: list[ListenerError] = []
    stream.on("text", log.append)
    stream.on("listener_error", failures.append)
    assert stream.emitter is emitter
    assert (await stream).text == "ab"
    assert log == ["a", "b"]
    assert [failure.event for failure in failures] == ["chunk", "chunk", "text", "chunk", "text", "chunk"]
    assert all(failure.listener is None for failure in failures)
    assert "on stream.emitter" in str(failures[0])
    assert not records(caplog)


@driven
async def test_a_plain_listener_that_raises_after_the_relay_does_not_call_the_relay_twice():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    stream.on("text", log.append)
    stream.emitter.on("text", fail)
    failures: list[ListenerError] = []
    stream.on("listener_error", failures.append)
    await stream
    assert log == ["a"]
    assert [failure.event for failure in failures] == ["text"]


@driven
async def test_plain_listeners_that_fail_on_listener_error_do_not_recurse(caplog):
    stream = stream_of(feed_of("a"), END)
    failures: list[ListenerError] = []
    stream.emitter.on("listener_error", fail)
    stream.on("listener_error", failures.append)
    stream.on("text", fail)
    await stream
    assert [failure.event for failure in failures] == ["text"]
    assert len(records(caplog)) == 1


@driven
async def test_a_plain_listener_of_listener_error_is_a_listener_of_it(caplog):
    stream = stream_of(feed_of("a"), END)
    failures: list[ListenerError] = []
    stream.emitter.on("listener_error", failures.append)
    stream.on("text", fail)
    await stream
    assert [failure.event for failure in failures] == ["text"]
    assert not records(caplog)


@driven
async def test_a_plain_listener_hears_the_payloads():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    stream.emitter.on("text", log.append)
    stream.emitter.on("done", lambda completion: log.append(completion.finish_reason))
    await stream
    assert log == ["a", "stop"]


@driven
async def test_nobody_need_listen_to_error_on_the_emitter():
    stream = stream_of(*text_reads("a"), StreamError("cut"))
    events = heard(stream)
    stream.emitter.on("end", lambda _: None)
    with pytest.raises(StreamError, match="cut"):
        await stream
    assert is_grammatical(events)
    assert "listener_error" not in events


@driven
async def test_the_relays_are_gone_at_the_end_and_what_others_registered_stays():
    emitter = EventEmitter()

    def other(_: object) -> None: ...

    emitter.on("text", other)
    stream = stream_of(feed_of("a"), END, emitter=emitter)
    for name in EVENTS:
        untyped(stream).on(name, lambda _: None)
        untyped(stream).on(name, lambda _: None)
    assert all(len(emitter.listeners(name)) == 1 + (name == "text") for name in EVENTS)
    await stream
    assert [name for name in EVENTS if emitter.listeners(name)] == ["text"]
    assert list(emitter.listeners("text")) == [other]


@driven
async def test_a_stream_that_is_over_puts_nothing_on_the_emitter():
    emitter = EventEmitter()
    stream = stream_of(feed_of("a"), END, emitter=emitter)
    await stream
    stream.on("text", print)
    stream.on("done", lambda _: None, replay=True)
    await turns(3)
    assert not any(emitter.listeners(name) for name in EVENTS)


@driven
async def test_two_streams_on_one_emitter_do_not_hear_each_other():
    emitter = EventEmitter()
    shared: list[str] = []
    emitter.on("text", shared.append)
    streams = [stream_of(*text_reads(*text), 3, FINISH, END, emitter=emitter) for text in ("abc", "abd", "x")]
    logs: list[list[str]] = [[] for _ in streams]
    for stream, log in zip(streams, logs, strict=True):
        stream.on("text", log.append)

        def finished(completion: Completion, log: list[str] = log) -> None:
            log.append(completion.text)

        stream.on("done", finished)
    await asyncio.gather(*streams)
    assert logs == [["a", "b", "c", "abc"], ["a", "b", "d", "abd"], ["x", "x"]]
    assert sorted(shared) == sorted("abcabdx")


@driven
async def test_what_others_emit_is_not_the_streams():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    stream.on("text", log.append)
    stream.emitter.emit("text", "from somebody else")
    stream.on("chunk", lambda _: stream.emitter.emit("text", "from a listener"))
    await stream
    assert log == ["a"]


@driven
async def test_an_emitter_that_somebody_empties_does_no_harm():
    stream = stream_of(*text_reads("a", "b"), FINISH, END)
    log: list[str] = []
    stream.on("text", log.append)
    stream.once("text", lambda _: stream.emitter.remove_all_listeners())
    assert (await stream).text == "ab"
    assert log[0] == "a"


@driven
async def test_an_asyncio_emitter_serves_too():
    emitter = AsyncIOEventEmitter()
    stream = stream_of(feed_of("a"), END, emitter=emitter)
    log: list[str] = []
    emitter.on("text", fail)
    emitter.on("error", lambda error: log.append(f"pyee's own: {error}"))
    stream.on("text", log.append)
    stream.on("error", lambda _: log.append("the stream failed"))

    @stream.on("done")
    async def finished(completion: object) -> None:
        log.append(str(completion))

    await stream
    assert log == ["pyee's own: a bug in a listener", "a", "a"]


# --- who listens ----------------------------------------------------------------------------------------------------


@driven
async def test_a_listener_may_be_there_twice():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []
    stream.on("text", log.append)
    stream.on("text", log.append)
    assert stream.listener_count("text") == 2
    await stream
    assert log == ["a", "a", "b", "b"]


@driven
async def test_prepended_listeners_come_first():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []
    stream.on("text", lambda _: log.append("second"))
    stream.prepend_listener("text", lambda _: log.append("first"))
    stream.prepend_listener("text", lambda _: log.append("zeroth"))
    stream.on("text", lambda _: log.append("third"))
    await stream
    assert log == ["zeroth", "first", "second", "third"]


@driven
async def test_once_is_called_once():
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    async def later(text: str) -> None:
        await asyncio.sleep(0)
        log.append(f"later {text}")

    stream.once("text", log.append)
    stream.once("text", later)
    stream.once("text", fail)
    assert stream.listener_count("text") == 3
    stream.on("listener_error", lambda _: log.append(f"left {stream.listener_count('text')}"))
    await stream
    assert log == ["a", "left 0", "later a"]


@driven
async def test_off_removes_the_latest_registration_and_is_silent_about_others():
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    def listener(_: object) -> None:
        log.append("listener")

    stream.on("text", listener)
    stream.on("text", lambda _: log.append("other"))
    stream.on("text", listener)
    stream.off("text", listener)
    stream.off("text", print)
    stream.off("chunk", listener)
    assert stream.listener_count("text") == 2
    await stream
    assert log == ["listener", "other"]
    stream.off("text", listener)


def test_off_knows_bound_methods():
    class Window:
        def append(self, text: str) -> None: ...

    window, other = Window(), Window()
    stream = stream_of(END)
    stream.on("text", window.append)
    stream.off("text", other.append)
    assert stream.listener_count("text") == 1
    stream.off("text", window.append)
    assert stream.listener_count("text") == 0
    assert stream.event_names() == []


def test_off_compares_by_equality_and_never_trips_over_it():
    class Odd:
        def __call__(self, _: object) -> None: ...

        def __eq__(self, other: object) -> bool:
            return self is other

    stream = stream_of(END)
    odd = Odd()
    stream.on("text", odd)
    stream.off("text", Odd())
    assert stream.listener_count("text") == 1
    stream.off("text", odd)
    assert stream.listener_count("text") == 0


@driven
async def test_listeners_that_add_and_remove_listeners_while_they_are_called():
    """As in Node: who is added now is called from the next event on, who is removed now is still called for this one."""
    stream = stream_of(feed_of("a", "b"), END)
    log: list[str] = []

    def added(text: str) -> None:
        log.append(f"added {text}")

    def removed(text: str) -> None:
        log.append(f"removed {text}")

    def changes(text: str) -> None:
        log.append(f"changes {text}")
        if text == "a":
            stream.on("text", added)
            stream.off("text", removed)
            stream.off("text", changes)

    stream.on("text", changes)
    stream.on("text", removed)
    await stream
    assert log == ["changes a", "removed a", "added b"]


def test_event_names_and_counts_are_those_of_the_stream():
    stream = stream_of(END)
    stream.emitter.on("text", print)
    stream.on("end", print)
    stream.on("chunk", print)
    assert stream.event_names() == ["chunk", "end"]
    assert stream.listener_count("text") == 0
    for name in ("chunk", "end"):
        stream.off(name, print)


def test_on_returns_the_listener_and_decorates():
    stream = stream_of(END)

    def listener(_: object) -> None: ...

    assert stream.on("chunk", listener) is listener
    assert stream.on("chunk")(listener) is listener
    assert stream.once("chunk")(listener) is listener
    assert stream.prepend_listener("chunk", listener) is listener
    assert stream.listener_count("chunk") == 4
    stream.abort()


@pytest.mark.parametrize("method", ["on", "once", "prepend_listener", "off", "listener_count", "events", "decorate"])
def test_an_unknown_event_is_a_value_error_that_lists_the_known_ones(method):
    stream = stream_of(END)
    with pytest.raises(ValueError, match="'chunks'.*start, connect.*listener_error"):
        match method:
            case "events" | "listener_count":
                getattr(stream, method)("chunks")
            case "decorate":
                untyped(stream).on("chunks")
            case _:
                getattr(stream, method)("chunks", print)


@driven
async def test_an_unknown_event_cannot_be_waited_for():
    with pytest.raises(ValueError, match="'chunks'"):
        await untyped(stream_of(END)).wait_for("chunks")


def test_a_listener_must_be_callable():
    with pytest.raises(TypeError, match="'text'.*int"):
        untyped(stream_of(END)).on("text", 3)


def test_tools_may_extend_the_event_table():
    stream = CompletionStream(ScriptedSource(), events=(*EVENTS, "round"))
    untyped(stream).on("round", print)
    assert stream.event_names() == ["round"]
    stream.abort()


# --- late subscribers -----------------------------------------------------------------------------------------------

TOOL = chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}])
FULL: list[Item] = [
    sse(chunk("a", reasoning_content="r", refusal="n"), done=False),
    5,
    sse(chunk("b", reasoning_content="s", refusal="o"), TOOL, chunk(usage={"total_tokens": 1}), done=False),
    5,
    sse(chunk("c", reasoning_content="t", refusal="p"), chunk(finish_reason="tool_calls")),
    END,
]
REPLAYED = ["start", "connect", "reasoning", "text", "refusal", "usage", "tool_call", "text_done", "done", "end"]


def say(payload: object) -> str:
    return payload if isinstance(payload, str) else type(payload).__name__


EVERYTHING = {
    "start": "StreamStart",
    "connect": "Connected",
    "reasoning": "rst",
    "text": "abc",
    "refusal": "nop",
    "usage": "Usage",
    "tool_call": "ToolCall",
    "text_done": "abc",
    "done": "Completion",
    "end": "Completion",
}


def listen_late(stream: CompletionStream, how: str, log: dict[str, list[str]]) -> None:
    for name in REPLAYED:

        def note(payload: object, name: str = name) -> None:
            log.setdefault(name, []).append(say(payload))

        async def note_later(payload: object, name: str = name) -> None:
            await asyncio.sleep(0.001)
            log.setdefault(name, []).append(say(payload))

        untyped(stream).on(name, note_later if how == "async" else note, replay=True)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(
    "when",
    ["before the start", "before the first turn", *[name for name in REPLAYED if name != "start"], "after the end"],
)
@driven
async def test_a_late_subscriber_misses_nothing_and_hears_nothing_twice(when, how):
    stream = stream_of(*FULL)
    log: dict[str, list[str]] = {}
    if when == "before the start":
        listen_late(stream, how, log)
    elif when not in {"after the end", "before the first turn"}:
        untyped(stream).once(when, lambda _: listen_late(stream, how, log))
    stream.start()
    if when == "before the first turn":
        listen_late(stream, how, log)
    await stream
    if when == "after the end":
        listen_late(stream, how, log)
    await asyncio.sleep(1)
    joined = {
        name: "".join(texts) if name in {"text", "reasoning", "refusal"} else texts[0] for name, texts in log.items()
    }
    assert joined == EVERYTHING
    assert all(len(texts) == 1 for name, texts in log.items() if name not in {"text", "reasoning", "refusal"})


@pytest.mark.parametrize(("event", "error"), [("error", StreamError), ("abort", StreamAborted)])
@driven
async def test_a_bad_ending_is_replayed_too(event, error):
    stream = stream_of(*text_reads("a"), *([StreamError("cut")] if event == "error" else []))
    if event == "abort":
        stream.on("text", lambda _: stream.abort())
    with pytest.raises(error) as caught:
        await stream
    log: list[object] = []
    untyped(stream).on(event, log.append, replay=True)
    stream.on("done", log.append, replay=True)
    assert log == []  # never inside the call of on
    await turns(2)
    assert log == [caught.value]


@driven
async def test_text_is_replayed_joined_to_one_that_comes_from_another_task():
    stream = stream_of(*spaced(text_reads(*"abcdef"), 3), FINISH, END)
    logs: list[list[str]] = []

    async def join_late(after: int) -> None:
        await turns(after)
        log: list[str] = []
        logs.append(log)
        stream.on("text", log.append, replay=True)

    stream.start()
    await asyncio.gather(*[join_late(after) for after in range(60)])
    await stream
    await turns(2)
    assert all("".join(log) == "abcdef" for log in logs)
    assert len({len(log) for log in logs}) > 2


async def test_text_is_replayed_to_one_that_comes_from_another_thread():
    gate = asyncio.Event()
    stream = stream_of(*text_reads("a", "b"), gate, *text_reads("c"), FINISH, END)
    log: list[tuple[str, bool]] = []
    loop_thread = threading.get_ident()
    stream.start()
    await turns(20)
    worker = threading.Thread(
        target=lambda: stream.on(
            "text", lambda text: log.append((text, threading.get_ident() == loop_thread)), replay=True
        )
    )
    worker.start()
    await asyncio.to_thread(worker.join)
    await turns(3)
    gate.set()
    await stream
    assert log == [("ab", True), ("c", True)]


@pytest.mark.parametrize("first", ["start", "connect", "text_done", "done"])
@driven
async def test_what_is_replayed_comes_before_anything_later(first):
    """Also where no turn of the loop lies between the two events."""
    later = {"start": "connect", "connect": "chunk", "text_done": "done", "done": "end"}[first]
    stream = stream_of(feed_of("a"), END)
    log: list[str] = []

    @untyped(stream).once(first)
    def subscribe(_: object) -> None:
        untyped(stream).on(first, lambda _: log.append(first), replay=True)
        untyped(stream).once(later, lambda _: log.append(later))

    await stream
    assert log == [first, later]


@driven
async def test_once_with_replay_is_called_once():
    stream = stream_of(*text_reads("a", "b"), FINISH, END)
    log: list[str] = []
    stream.once("text", lambda _: stream.once("text", log.append, replay=True))
    await stream
    assert log == ["a"]


@driven
async def test_a_prepended_late_listener_is_first_from_then_on():
    stream = stream_of(*text_reads("a", "b"), FINISH, END)
    log: list[str] = []
    stream.on("text", lambda text: log.append(f"there {text}"))
    stream.once("text", lambda _: stream.prepend_listener("text", lambda text: log.append(f"late {text}"), replay=True))
    await stream
    assert log == ["there a", "late a", "late b", "there b"]


@driven
async def test_a_late_listener_can_be_taken_off_before_it_is_told():
    stream = stream_of(*text_reads("a", "b"), FINISH, END)
    log: list[str] = []

    @stream.on("text")
    def subscribe(_: str) -> None:
        stream.on("text", log.append, replay=True)
        stream.off("text", log.append)

    await stream
    assert log == []


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize("event", [name for name in EVENTS if name not in {*EVERYTHING, "error", "abort"}])
@driven
async def test_other_events_cannot_be_replayed(event, started):
    stream = stream_of(*FULL)
    if started:
        stream.start()
    with pytest.raises(ValueError, match=f"'?{event.replace('*', '.')}'? cannot be replayed.*text.*done"):
        stream.on(event, lambda _: None, replay=True)
    stream.abort()
    with pytest.raises(StreamAborted):
        await stream


@driven
async def test_a_late_listener_that_never_returns_does_not_hang_the_stream(caplog):
    stream = stream_of(feed_of("a"), END, drain_timeout=3.0)

    @stream.on("end")
    def ended(_: object) -> None:
        async def stuck(_: object) -> None:
            await asyncio.Event().wait()

        stream.on("done", stuck, replay=True)

    await asyncio.wait_for(stream, 100)
    await asyncio.sleep(10)
    assert len(records(caplog)) == 1
