from __future__ import annotations

import asyncio
import contextvars
import gc
import threading
import time
import weakref
from contextvars import ContextVar
from typing import Any

import pytest
from pyee import EventEmitter

from streamkit import (
    Completion,
    ConnectionLost,
    RetryPolicy,
    StatusError,
    StreamAborted,
    StreamDriver,
    StreamTimeout,
    Timeout,
)
from streamkit.testing import Cut, Hang, Reset, Send, answer, chunk, sse
from streamkit.tools import (
    RoundStart,
    ToolCompletion,
    ToolFailed,
    ToolFailure,
    ToolResult,
    ToolStream,
    TooManyRounds,
    run_tools,
    tool,
    tool_results,
)

from .conversation import asks, call, conversation, following, is_grammatical, says, whole

WEATHER = call("weather", {"city": "Oslo"})


def weather(city: str) -> str:
    """The weather of a city."""
    return f"4 °C in {city}"


async def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def test_the_calls_are_made_and_the_model_goes_on_with_their_results():
    feeds = asks(WEATHER, call("add", {"a": 2, "b": 3}, "call_2"), text="Let me see."), says("4 °C, and 5.")
    async with conversation(*feeds) as (driver, server):
        stream = run_tools(driver, "Weather in Oslo, and 2 + 3?", [weather, add], model="m", temperature=0)
        events = following(stream)
        completion = await stream

    assert [name for name in events if not name.startswith(("chunk", "tool_delta"))][:9] == [
        "start",
        "round",
        "connect",
        "text",
        "usage",
        "tool_call call_1",
        "tool_call call_2",
        "text_done",
        "tool_start call_1",
    ]
    assert events[-4:] == ["usage", "text_done", "done", "end"]
    assert is_grammatical(events)
    assert events.count("round") == events.count("connect") == 2
    assert (events.count("start"), events.count("done"), events.count("end")) == (1, 1, 1)

    first, second = (request.json for request in server.requests)
    assert first["tools"] == [tool(weather).definition, tool(add).definition]
    assert second == {**first, "messages": second["messages"]}
    assert second["messages"] == [
        {"role": "user", "content": "Weather in Oslo, and 2 + 3?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [
                {
                    "id": "call_1",
                    "type": "function",
                    "function": {"name": "weather", "arguments": '{"city": "Oslo"}'},
                },
                {"id": "call_2", "type": "function", "function": {"name": "add", "arguments": '{"a": 2, "b": 3}'}},
            ],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "4 °C in Oslo"},
        {"role": "tool", "tool_call_id": "call_2", "content": "5"},
    ]

    assert isinstance(completion, ToolCompletion)
    assert (completion.text, completion.finish_reason, completion.ended_by, completion.complete) == (
        "4 °C, and 5.",
        "stop",
        "done",
        True,
    )
    assert completion.messages == (*second["messages"], {"role": "assistant", "content": "4 °C, and 5."})
    assert [each.number for each in completion.rounds] == [1, 2]
    assert [each.completion.text for each in completion.rounds] == ["Let me see.", "4 °C, and 5."]
    assert [each.content for each in completion.rounds[0].answers] == ["4 °C in Oslo", "5"]
    assert completion.rounds[1].answers == ()


async def test_usage_and_quirks_are_summed_and_kept_for_each_round():
    broken = b"data: {broken\n\n"
    usage = {
        "prompt_tokens": 30,
        "completion_tokens": 2,
        "total_tokens": 32,
        "prompt_tokens_details": {"cached_tokens": 8},
    }
    async with conversation(broken + asks(WEATHER), asks(WEATHER, usage=None), says("4.", usage)) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        seen: list[Any] = []
        stream.on("usage", lambda usage: seen.append((usage.total_tokens, stream.completion.usage)))
        completion = await stream

    parts = [each.completion.usage and each.completion.usage.total_tokens for each in completion.rounds]
    assert parts == [15, None, 32]
    assert completion.usage is not None
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens, completion.usage.total_tokens) == (
        40,
        7,
        47,
    )
    assert completion.usage.extra == {"prompt_tokens_details": {"cached_tokens": 12}}
    assert [(one, summed and summed.total_tokens) for one, summed in seen] == [(15, 15), (32, 47)]
    assert completion.quirks == {"malformed_chunk": 1}
    assert [each.completion.quirks for each in completion.rounds] == [{"malformed_chunk": 1}, {}, {}]


async def test_no_usage_at_all_is_none():
    async with conversation(asks(WEATHER, usage=None), says("4.", usage=None)) as (driver, _):
        assert (await run_tools(driver, "hi", [weather])).usage is None


async def test_inside_a_listener_the_completion_holds_what_it_hears_of_and_no_more():
    feeds = asks(WEATHER, call("add", {"a": 1, "b": 1}, "call_2"), text="One. "), says("Two.")
    async with conversation(*feeds) as (driver, _):
        stream = run_tools(driver, "hi", [weather, add], parallel=False)
        known: list[Any] = []

        def note(event: Any) -> None:
            if event.name in {"round", "text", "tool_start", "tool_result", "done"}:
                rounds = stream.completion.rounds
                known.append((event.name, len(rounds), len(rounds[-1].answers), stream.completion.text))

        stream.on("*", note)
        await stream
    assert known == [
        ("round", 1, 0, ""),
        ("text", 1, 0, "One. "),
        ("tool_start", 1, 0, "One. "),
        ("tool_result", 1, 1, "One. "),
        ("tool_start", 1, 1, "One. "),
        ("tool_result", 1, 2, "One. "),
        ("round", 2, 0, ""),
        ("text", 2, 0, "Two."),
        ("done", 2, 0, "Two."),
    ]


async def test_late_subscribers_hear_the_text_and_the_calls_of_all_rounds():
    async with conversation(asks(WEATHER, text="One. "), says("Two.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        texts: list[str] = []
        calls: list[Any] = []

        def subscribe(start: RoundStart) -> None:
            if start.number == 2:
                stream.on("text", texts.append, replay=True)
                stream.on("tool_call", calls.append, replay=True)

        stream.on("round", subscribe)
        await stream
        assert "".join(texts) == "One. Two."
        assert calls == [WEATHER]
        again: list[str] = []
        stream.on("text", again.append, replay=True)
        await asyncio.sleep(0)
        assert again == ["One. Two."]


async def test_a_model_that_calls_nothing_is_one_round():
    async with conversation(says("Hello.")) as (driver, server):
        stream = run_tools(driver, "hi", [weather])
        events = following(stream)
        completion = await stream
    assert is_grammatical(events)
    assert len(completion.rounds) == len(server.requests) == 1
    assert completion.messages[-1] == {"role": "assistant", "content": "Hello."}


async def test_its_messages_can_be_sent_again():
    async with conversation(asks(WEATHER), says("4 °C."), says("You're welcome.")) as (driver, server):
        first = await run_tools(driver, "hi", [weather])
        second = await run_tools(driver, [*first.messages, {"role": "user", "content": "Thanks"}], [weather])
    assert second.text == "You're welcome."
    assert server.requests[2].json["messages"] == [*first.messages, {"role": "user", "content": "Thanks"}]


# --- what goes wrong ----------------------------------------------------------------------------------------------------


def broken(city: str = "") -> None:
    raise ValueError("no such city")


def odd() -> object:
    return object()


async def hangs() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    ("asked", "kind"),
    [
        (call("wether", {"city": "Oslo"}), "unknown_tool"),
        (call("weather", '{"city": "Os'), "invalid_arguments"),
        (call("weather", "{}"), "invalid_arguments"),
        (call("weather", {"city": "Oslo", "days": 2}), "invalid_arguments"),
        (call("weather", {"city": 7}), "invalid_arguments"),
        (call("broken", "{}"), "raised"),
        (call("odd", "{}"), "unserializable"),
        (call("hangs", "{}"), "timeout"),
    ],
)
@pytest.mark.parametrize("on_error", ["tell_model", "raise"])
async def test_a_bad_call_is_told_to_the_model_or_ends_the_stream(asked, kind, on_error):
    async with conversation(asks(asked), says("I see.")) as (driver, server):
        tools: list[Any] = [weather, broken, odd, tool(hangs, timeout=0.02)]
        stream = run_tools(driver, "hi", tools, on_error=on_error)
        events = following(stream)
        failures: list[ToolFailure] = []
        stream.on("tool_error", failures.append)
        if on_error == "raise":
            with pytest.raises(ToolFailed) as caught:
                await stream
            completion = caught.value.completion
            assert isinstance(completion, ToolCompletion)
            assert caught.value.failure is failures[0]
            assert (len(server.requests), completion.ended_by, completion.complete) == (1, "error", False)
            assert completion.rounds[0].answers == tuple(failures)
            assert completion.messages[-1]["role"] == "tool"
        else:
            completion = await stream
            assert completion.text == "I see."
            sent = server.requests[1].json["messages"][-1]
            assert sent == {"role": "tool", "tool_call_id": "call_1", "content": failures[0].content}
    assert is_grammatical(events)
    assert [failure.kind for failure in failures] == [kind]


async def test_a_model_that_calls_for_ever_is_stopped_and_what_it_did_is_kept():
    async with conversation(asks(WEATHER)) as (driver, server):
        stream = run_tools(driver, "hi", [weather], max_rounds=3)
        events = following(stream)
        with pytest.raises(TooManyRounds, match="max_rounds=3") as caught:
            await stream
    completion = caught.value.completion
    assert isinstance(completion, ToolCompletion)
    assert is_grammatical(events)
    assert len(server.requests) == len(completion.rounds) == 3
    assert [len(each.answers) for each in completion.rounds] == [1, 1, 0]
    roles = [message["role"] for message in completion.messages]
    assert roles == ["user", *["assistant", "tool"] * 3]
    assert "no result" in completion.messages[-1]["content"]


async def test_a_tool_choice_that_forces_a_call_holds_for_the_first_round():
    async with conversation(asks(WEATHER), says("4.")) as (driver, server):
        await run_tools(driver, "hi", [weather], tool_choice="required", parallel_tool_calls=False)
        first, second = (request.json for request in server.requests)
    assert first["tool_choice"] == "required"
    assert "tool_choice" not in second
    assert second["parallel_tool_calls"] is False

    async with conversation(asks(WEATHER), says("4.")) as (driver, server):
        await run_tools(driver, "hi", [weather], tool_choice="auto")
        assert server.requests[1].json["tool_choice"] == "auto"


async def test_a_tool_choice_that_limits_the_tools_holds_for_all_rounds():
    only = [{"type": "function", "function": {"name": "weather"}}]
    for mode in ("auto", "required"):
        choice = {"type": "allowed_tools", "allowed_tools": {"mode": mode, "tools": only}}
        async with conversation(asks(WEATHER), says("4.")) as (driver, server):
            await run_tools(driver, "hi", [weather, add], tool_choice=choice)
            first, second = (request.json["tool_choice"] for request in server.requests)
        assert first == choice
        assert second == {"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": only}}


async def test_stream_options_that_were_taken_out_stay_out():
    async with conversation(asks(WEATHER), says("4.")) as (driver, server):
        await run_tools(driver, "hi", [weather], stream_options=None)
        assert all("stream_options" not in request.json for request in server.requests)


@pytest.mark.parametrize("ending", [Cut(), Reset()])
async def test_a_cut_in_a_later_round_keeps_the_conversation(ending):
    cut = [Send(sse(chunk("The weat", role="assistant"), done=False)), ending]
    async with conversation(asks(WEATHER), cut, retries=0) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        events = following(stream)
        with pytest.raises(ConnectionLost) as caught:
            await stream
    completion = caught.value.completion
    assert isinstance(completion, ToolCompletion)
    assert is_grammatical(events)
    assert completion.text == "The weat"
    assert [each.completion.text for each in completion.rounds] == ["", "The weat"]
    # Without the broken message: it can be sent again as it is.
    assert [message["role"] for message in completion.messages] == ["user", "assistant", "tool"]


async def test_a_cut_between_two_rounds_is_retried_and_then_an_error_with_the_conversation():
    busy = answer(503, {"error": {"message": "busy"}})
    policy = RetryPolicy(retries=1, initial=0.001)
    async with conversation(asks(WEATHER), busy, says("4."), retries=policy) as (driver, server):
        stream = run_tools(driver, "hi", [weather])
        events = following(stream)
        assert (await stream).text == "4."
        assert len(server.requests) == 3
        assert events.count("retry") == 1
        assert is_grammatical(events)

    async with conversation(asks(WEATHER), busy, retries=policy) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        events = following(stream)
        with pytest.raises(StatusError) as caught:
            await stream
    completion = caught.value.completion
    assert isinstance(completion, ToolCompletion)
    assert is_grammatical(events)
    assert [message["role"] for message in completion.messages] == ["user", "assistant", "tool"]
    assert [len(each.answers) for each in completion.rounds] == [1, 0]


async def test_a_round_that_fails_before_it_said_anything_may_be_tried_again_whatever_others_said():
    async with conversation(
        asks(WEATHER, text="One. "), [Reset()], says("Two."), retries=RetryPolicy(initial=0.001)
    ) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        texts: list[str] = []
        stream.on("text", texts.append)
        await stream
    assert texts == ["One. ", "Two."]


# --- abort, cancellation, limits ----------------------------------------------------------------------------------------


async def aborted(stream: ToolStream) -> tuple[ToolCompletion, list[str]]:
    events = following(stream)
    with pytest.raises(StreamAborted) as caught:
        await stream
    assert isinstance(caught.value.completion, ToolCompletion)
    assert is_grammatical(events)
    assert events[-2:] == ["abort", "end"]
    return caught.value.completion, events


async def test_an_abort_cancels_the_functions_that_run_and_keeps_what_the_others_gave():
    ended: list[str] = []

    async def waits() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cancelled")

    async with conversation(asks(WEATHER, call("waits", "{}", "call_2")), says("never")) as (driver, server):
        stream = run_tools(driver, "hi", [weather, waits])
        stream.on("tool_result", lambda _: stream.abort("enough"))
        completion, events = await aborted(stream)
        assert len(server.requests) == 1
    assert ended == ["cancelled"]
    assert "tool_start call_2" in events
    assert not any(name in {"tool_result call_2", "tool_error call_2"} for name in events)
    assert [each.content for each in completion.rounds[0].answers] == ["4 °C in Oslo"]
    assert [message["content"] for message in completion.messages[2:]] == [
        "4 °C in Oslo",
        "Error: this call has no result: the run ended before it had one",
    ]


async def test_an_abort_does_not_wait_for_a_thread():
    release = threading.Event()

    def blocks() -> None:
        release.wait(30)

    async with conversation(asks(call("blocks")), says("never")) as (driver, _):
        stream = run_tools(driver, "hi", [blocks])
        stream.on("tool_start", lambda _: stream.abort())
        await aborted(stream)
    assert not release.is_set()
    release.set()


@pytest.mark.parametrize("event", ["start", "round", "connect", "tool_call", "text_done", "tool_start", "tool_result"])
async def test_an_abort_at_any_point_is_one_abort_and_one_end(event):
    async with conversation(asks(WEATHER, text="One."), says("Two.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        on: Any = stream.on
        on(event, lambda _: stream.abort("now"))
        completion, events = await aborted(stream)
        assert completion.ended_by == "abort"
        assert sum(name.startswith(event) for name in events) == 1


@pytest.mark.parametrize("when", ["before", "at start"])
async def test_aborted_before_the_first_request_no_round_begins(when):
    async with conversation(asks(WEATHER)) as (driver, server):
        stream = run_tools(driver, "hi", [weather])
        if when == "before":
            stream.abort()
        else:
            stream.on("start", lambda _: stream.abort())
        completion, events = await aborted(stream)
        assert events == ["start", "abort", "end"]
        assert (completion.rounds, server.requests) == ((), [])
        assert [message["role"] for message in completion.messages] == ["user"]


async def test_an_abort_in_the_second_round():
    async with conversation(asks(WEATHER), [Send(sse(chunk("Two"), done=False)), Hang()]) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        stream.on("text", lambda _: stream.abort())
        completion, _ = await aborted(stream)
    assert completion.text == "Two"
    assert len(completion.messages) == 3


async def test_closing_the_driver_ends_a_run_whose_function_hangs():
    async with conversation(asks(call("hangs")), says("never")) as (driver, _):
        stream = run_tools(driver, "hi", [hangs])
        await stream.wait_for("tool_start")
        await driver.close()
        assert stream.completion.ended_by == "abort"


async def test_cancelling_who_started_it_cancels_the_functions():
    async with conversation(asks(call("hangs")), says("never")) as (driver, _):
        stream = run_tools(driver, "hi", [hangs])
        events = following(stream)
        begun = asyncio.Event()
        stream.on("tool_start", lambda _: begun.set())

        async def use() -> None:
            await stream

        task = asyncio.create_task(use())
        await begun.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert events[-2:] == ["abort", "end"]
    assert stream.completion.ended_by == "cancel"


async def test_timeout_total_limits_the_whole_run_and_a_slow_function_is_no_stall():
    async with conversation(asks(call("hangs")), says("never")) as (driver, _):
        stream = run_tools(driver, "hi", [hangs], timeout=Timeout(total=0.3))
        with pytest.raises(StreamTimeout) as caught:
            await stream
        assert caught.value.phase == "total"

    async def slow() -> str:
        await asyncio.sleep(0.3)
        return "ok"

    async with conversation(asks(call("slow")), says("Done.")) as (driver, _):
        stream = run_tools(driver, "hi", [slow], timeout=Timeout(first=0.2, idle=0.2, after_finish=0.2))
        events = following(stream)
        assert (await stream).text == "Done."
        assert "stall" not in events


async def test_async_for_and_events_go_over_all_rounds():
    async with conversation(asks(WEATHER, text="One. "), says("Two.")) as (driver, _):
        assert "".join([str(chunk) async for chunk in run_tools(driver, "hi", [weather])]) == "One. Two."
    async with conversation(asks(WEATHER), says("Two.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        assert [result.content async for result in stream.events("tool_result")] == ["4 °C in Oslo"]


async def test_on_an_emitter_of_the_callers():
    emitter = EventEmitter()
    heard: list[str] = []
    emitter.on("tool_result", lambda result: heard.append(result.content))
    emitter.on("done", lambda completion: heard.append(completion.text))
    async with conversation(asks(WEATHER), says("Two.")) as (driver, _):
        await run_tools(driver, "hi", [weather], emitter=emitter)
    assert heard == ["4 °C in Oslo", "Two."]


async def test_a_listener_of_the_calls_that_raises_changes_nothing():
    async with conversation(asks(WEATHER), says("Two."), listener_errors="raise") as (driver, _):
        stream = run_tools(driver, "hi", [weather])
        failures: list[Any] = []

        @stream.on("tool_result")
        def broken(result: ToolResult) -> None:
            raise RuntimeError("listener")

        stream.on("listener_error", failures.append)
        assert (await stream.start().wait_for("done")).text == "Two."
        await stream.finished()
    assert [failure.event for failure in failures] == ["tool_result"]


async def test_async_listeners_hear_a_round_before_the_ending():
    async with conversation(asks(WEATHER, call("add", {"a": 1, "b": 2}, "call_2")), says("Two.")) as (driver, _):
        stream = run_tools(driver, "hi", [weather, add])
        log: list[str] = []

        @stream.on("tool_result")
        async def slow(result: ToolResult) -> None:
            await asyncio.sleep(0.01)
            log.append(result.content)

        stream.on("done", lambda _: log.append("done"))
        await stream
    assert set(log[:2]) == {"4 °C in Oslo", "3"}
    assert log[2:] == ["done"]


WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


async def test_functions_see_the_context_of_the_run():
    def who() -> str:
        return WHO.get()

    async with conversation(asks(call("who")), says("Two.")) as (driver, _):
        context = contextvars.copy_context()
        context.run(WHO.set, "caller")
        stream = context.run(run_tools, driver, "hi", [who])
        completion = await stream
    assert completion.rounds[0].answers[0].content == "caller"


async def test_the_reasoning_goes_back_where_a_server_insists():
    thinks = sse(
        chunk(reasoning_content="hm"),
        chunk(tool_calls=[{"index": 0, "id": "c", "function": {"name": "weather", "arguments": '{"city":"Oslo"}'}}]),
        chunk(finish_reason="tool_calls"),
    )
    for field in (None, "reasoning_content"):
        async with conversation(thinks, says("4.")) as (driver, server):
            await run_tools(driver, "hi", [weather], reasoning_field=field)
            sent = server.requests[1].json["messages"][1]
        assert sent.get("reasoning_content") == ("hm" if field else None)


async def test_the_key_that_a_function_quotes_stays_out_of_the_conversation():
    def leaks() -> None:
        raise ValueError("refused: sk-secret-key")

    async with conversation(asks(call("leaks")), says("Two.")) as (driver, server):
        await run_tools(driver, "hi", [leaks])
        assert "sk-secret-key" not in server.requests[1].body.decode()


async def test_a_megabyte_of_arguments_in_tiny_deltas_takes_linear_time():
    def length(text: str) -> int:
        return len(text)

    def feed(size: int) -> bytes:
        arguments = '{"text": "' + "x" * size + '"}'
        head = {"index": 0, "id": "call_1", "function": {"name": "length", "arguments": ""}}
        pieces = [{"index": 0, "function": {"arguments": arguments[at : at + 4]}} for at in range(0, len(arguments), 4)]
        return sse(*(chunk(tool_calls=[each]) for each in (head, *pieces)), chunk(finish_reason="tool_calls"))

    async def seconds(size: int) -> float:
        async with conversation(feed(size), says("Done.")) as (driver, _):
            before = time.process_time()
            completion = await run_tools(driver, "hi", [length])
            spent = time.process_time() - before
        assert completion.rounds[0].answers[0].content == str(size)
        return spent

    small = min([await seconds(125_000) for _ in range(2)])
    assert await seconds(1_000_000) < 8 * small * 2.5


@pytest.mark.parametrize("on_error", ["tell_model", "raise"])
async def test_a_run_is_freed_by_the_cycle_collector_at_the_latest(on_error):
    def fails() -> None:
        raise ValueError("no")

    async def use() -> Any:
        async with conversation(asks(call("fails"), WEATHER), says("Two.")) as (driver, _):
            stream = run_tools(driver, "hi", [fails, weather], on_error=on_error)
            stream.on("tool_error", lambda failure: None)
            try:
                await stream
            except ToolFailed:
                pass
            return weakref.ref(stream)

    gc.collect()
    gc.disable()
    try:
        alive = await use()
        await asyncio.sleep(0)
        if on_error == "raise":
            gc.collect()  # an error that was raised remembers who awaited the stream, as of any stream
        assert alive() is None
    finally:
        gc.enable()


# --- bad input ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prompt", "more", "words"),
    [
        ("hi", {"max_rounds": 0}, "max_rounds"),
        ("hi", {"max_rounds": True}, "max_rounds"),
        ("hi", {"reasoning_field": ""}, "reasoning_field"),
        ("hi", {"n": 2}, "n must be 1"),
        ({"messages": [{"role": "user", "content": "hi"}], "tools": [{}]}, {}, "'tools'"),
        ("hi", {"extra_body": {"functions": [{}]}}, "'functions'"),
        ("hi", {"parallel": -1}, "parallel"),
        ("", {}, "prompt"),
    ],
)
def test_what_makes_no_sense_is_an_error_by_name(prompt, more, words):
    with pytest.raises((TypeError, ValueError), match=words):
        run_tools(StreamDriver("http://localhost"), prompt, [weather], **more)


async def test_two_tools_of_one_name_none_and_no_function():
    driver = StreamDriver("http://localhost")
    wrong: list[Any] = [[weather, weather], [], [7], weather]
    for tools in wrong:
        with pytest.raises((TypeError, ValueError)):
            run_tools(driver, "hi", tools)


async def test_a_closed_driver_runs_nothing():
    driver = StreamDriver("http://localhost")
    await driver.close()
    with pytest.raises(RuntimeError, match="closed"):
        run_tools(driver, "hi", [weather])


# --- by hand ------------------------------------------------------------------------------------------------------------


async def test_a_loop_of_ones_own():
    async with conversation(asks(WEATHER), says("4.")) as (driver, server):
        messages: list[Any] = [{"role": "user", "content": "hi"}]
        while True:
            completion: Completion = await driver.stream(messages, tools=[tool(weather).definition])
            messages += await tool_results(completion, [weather])
            if not completion.tool_calls:
                break
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "assistant"]
    assert server.requests[1].json["messages"] == messages[:3]


async def test_by_hand_failures_are_told_or_raised_too():
    completion = whole(call("wether"), call("weather", {"city": "Oslo"}, "call_2"))
    told = await tool_results(completion, [weather])
    assert [message["content"] for message in told[1:]] == [
        "Error: there is no tool 'wether'; the tools are weather",
        "4 °C in Oslo",
    ]
    with pytest.raises(ToolFailed, match="unknown_tool"):
        await tool_results(completion, [weather], on_error="raise")
    denied = await tool_results(completion, [weather], approve=lambda call: False)
    assert denied[2]["content"].startswith("Error: this call was not allowed")
