from __future__ import annotations

import asyncio
import enum
import gc
import itertools
import json
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from pyee import EventEmitter

from streamkit import ConnectionLost, Event, StreamAborted, StreamDriver, StreamError, StreamWarning
from streamkit.testing import Cut, Hang, Send, chunk, completion_server, sse
from streamkit.tools import ParsedCompletion, ParsedStream, ParseFailed, stream_parsed
from tests.tools.test_partial import begins

if TYPE_CHECKING:
    from streamkit.testing import Script


class Sky(enum.Enum):
    CLEAR = "clear"
    GREY = "grey"


@dataclass
class Day:
    sky: Sky
    high: float
    notes: list[str] = field(default_factory=list)


class Week(msgspec.Struct):
    city: str
    days: list[Day]
    summary: str | None = None


TEXT = json.dumps(
    {
        "city": "Tromsø 🌊",
        "days": [{"sky": "clear", "high": 4.5, "notes": ["cold", "dry"]}, {"sky": "grey", "high": -11, "notes": None}],
        "summary": None,
    }
)
WEEK = Week("Tromsø 🌊", [Day(Sky.CLEAR, 4.5, ["cold", "dry"]), Day(Sky.GREY, -11.0)])


def feed(text: str, size: int = 4, finish_reason: str = "stop") -> bytes:
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return sse(*map(chunk, pieces), chunk(finish_reason=finish_reason))


async def run(
    script: Script, kind: Any = Week, **options: Any
) -> tuple[ParsedCompletion[Any], list[Any], dict[str, Any]]:
    async with completion_server(script) as server, StreamDriver(server.base_url, "key", model="m") as driver:
        stream: ParsedStream[Any] = stream_parsed(driver, "The weather?", kind, **options)
        partials: list[Any] = []
        stream.on("partial", partials.append)
        completion = await stream
        return completion, partials, server.requests[0].json


async def test_a_nested_type_in_small_pieces() -> None:
    completion, partials, _ = await run(feed(TEXT))
    assert completion.parsed == WEEK
    assert isinstance(completion, ParsedCompletion)
    assert len(partials) > 15
    for before, after in itertools.pairwise(partials):
        assert begins(before, after)
        assert before != after
    assert partials[-1] == json.loads(TEXT)
    assert partials[0] == {}
    for partial in partials:
        for day in partial.get("days", []):
            assert day.get("sky", "clear") in {"clear", "grey"}
            assert day.get("high", 4.5) in {4.5, -11}


async def test_the_request_asks_for_the_schema_in_strict_mode() -> None:
    *_, request = await run(feed(TEXT), temperature=0)
    asked = request["response_format"]["json_schema"]
    assert request["response_format"]["type"] == "json_schema"
    assert asked["name"] == "Week"
    assert asked["strict"] is True
    assert asked["schema"]["required"] == ["city", "days", "summary"]
    assert request["temperature"] == 0


async def test_a_type_that_cannot_be_strict_is_asked_for_all_the_same() -> None:
    completion, _, request = await run(feed('{"a": 1}'), dict[str, int], name="counts")
    assert completion.parsed == {"a": 1}
    asked = request["response_format"]["json_schema"]
    assert (asked["strict"], asked["name"]) == (False, "counts")


async def test_a_response_format_of_ones_own_is_sent_as_it_is() -> None:
    completion, _, request = await run(feed(TEXT), response_format={"type": "json_object"})
    assert request["response_format"] == {"type": "json_object"}
    assert completion.parsed == WEEK


@pytest.mark.parametrize("text", ['{"value": ["a", "bc"]}', '["a", "bc"]'], ids=["wrapped", "bare"])
async def test_a_type_that_is_no_object_is_asked_for_inside_of_one(text: str) -> None:
    completion, partials, request = await run(feed(text, 1), list[str])
    assert request["response_format"]["json_schema"]["schema"]["required"] == ["value"]
    assert completion.parsed == ["a", "bc"]
    assert partials == [[], [""], ["a"], ["a", ""], ["a", "b"], ["a", "bc"]]


async def test_none_is_a_value() -> None:
    completion, partials, _ = await run(feed('{"value": null}'), int | None, name="n")
    assert completion.parsed is None
    assert partials == [None]


async def test_a_markdown_fence_is_taken_off_with_a_warning() -> None:
    async with (
        completion_server(feed(f"```json\n{TEXT}\n```\n")) as server,
        StreamDriver(server.base_url, model="m") as driver,
    ):
        stream = stream_parsed(driver, "?", Week)
        warnings: list[StreamWarning] = []
        partials: list[Any] = []
        stream.on("warning", warnings.append)
        stream.on("partial", partials.append)
        completion = await stream
    assert completion.parsed == WEEK
    assert partials[-1] == json.loads(TEXT)
    assert [warning.kind for warning in warnings] == ["fenced_json"]
    assert completion.quirks["fenced_json"] == 1


async def test_a_byte_order_mark_is_no_part_of_the_answer() -> None:
    completion, partials, _ = await run(feed(f"\ufeff{TEXT}"), Week)
    assert completion.parsed == WEEK
    assert partials[-1] == json.loads(TEXT)


REFUSAL = {"choices": [{"index": 0, "delta": {"refusal": "I cannot"}, "finish_reason": "stop"}]}
CALL = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"choices": [{"index": 0, "delta": {"tool_calls": [CALL]}, "finish_reason": "tool_calls"}]}


@pytest.mark.parametrize(
    ("script", "reason", "message"),
    [
        (feed('{"city": 7, "days": []}'), "type", r"does not fit Week \(at \$\.city\)"),
        (feed('{"city": "Oslo"}'), "type", "does not fit Week"),
        (feed("Oslo is nice"), "json", "no JSON"),
        (feed(TEXT[:50]), "json", "no JSON"),
        (feed(TEXT + " and more"), "json", "no JSON"),
        (feed(TEXT[:50], finish_reason="length"), "length", "max_completion_tokens"),
        (feed(TEXT[:50], finish_reason="content_filter"), "content_filter", "content filter"),
        (sse(REFUSAL), "refusal", "refused"),
        (sse(CALLS), "tool_calls", "called tools"),
    ],
)
async def test_an_answer_that_is_no_value_is_an_error_that_keeps_it(script: bytes, reason: str, message: str) -> None:
    async with completion_server(script) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        names: list[str] = []
        stream.on("*", lambda event: names.append(event.name))
        with pytest.raises(ParseFailed, match=message) as caught:
            await stream
    error = caught.value
    assert isinstance(error, StreamError)
    assert error.reason == reason
    assert error.completion.text or error.completion.refusal or error.completion.tool_calls
    assert error.completion.parsed is None  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]  # it is a ParsedCompletion
    assert names[-2:] == ["error", "end"]
    assert "done" not in names


async def test_the_words_of_the_model_are_not_in_the_message() -> None:
    script = feed(json.dumps({"city": "x", "days": [{"sky": "SECRET", "high": 1}]}))
    async with completion_server(script) as server, StreamDriver(server.base_url, model="m") as driver:
        with pytest.raises(ParseFailed) as caught:
            await stream_parsed(driver, "?", Week)
    assert "SECRET" not in str(caught.value)
    assert "SECRET" in caught.value.detail
    assert "$.days[0].sky" in str(caught.value)


async def test_an_answer_that_is_whole_at_its_largest_length_is_a_value() -> None:
    completion, *_ = await run(feed(TEXT, finish_reason="length"))
    assert completion.parsed == WEEK


async def test_other_failures_are_what_they_are() -> None:
    script: Script = [Send(sse(chunk(TEXT[:40]), done=False)), Cut()]
    async with completion_server(script) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        partials: list[Any] = []
        stream.on("partial", partials.append)
        with pytest.raises(ConnectionLost) as caught:
            await stream
    assert caught.value.completion.text == TEXT[:40]
    assert begins(partials[-1], json.loads(TEXT))


async def test_an_abort_keeps_what_there_was() -> None:
    script: Script = [Send(sse(chunk('{"city": "Os'), done=False)), Hang()]
    async with completion_server(script) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        stream.on("partial", lambda _: stream.abort("enough"))
        with pytest.raises(StreamAborted):
            await stream
        assert stream.completion.text == '{"city": "Os'


async def test_partial_comes_after_its_text_and_before_done_for_every_kind_of_listener() -> None:
    emitter = EventEmitter()
    async with completion_server(feed('{"city": "Oslo", "days": []}', 9)) as server:  # noqa: SIM117 - one line would be too long
        async with StreamDriver(server.base_url, model="m") as driver:
            stream = stream_parsed(driver, "?", Week, emitter=emitter)
            events: list[Event] = []
            plain: list[Any] = []
            later: list[Any] = []
            stream.on("*", events.append)
            emitter.on("partial", plain.append)

            @stream.on("partial")
            async def listen(partial: Any) -> None:
                await asyncio.sleep(0)
                later.append(partial)

            await stream
    names = [event.name for event in events if event.name in {"text", "partial", "text_done", "done", "end"}]
    assert names == [*["text", "partial"] * 3, "text", "text_done", "done", "end"]  # the last "}" changes nothing
    assert plain == later == [event.payload for event in events if event.name == "partial"]
    assert names.index("done") > max(place for place, name in enumerate(names) if name == "partial")


async def test_without_a_listener_nothing_is_parsed_on_the_way() -> None:
    async with completion_server(feed(TEXT)) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        await stream
    assert stream._partial.version == 0


async def test_who_comes_late_hears_all_of_what_there_is() -> None:
    async with completion_server(feed(TEXT)) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        partials: list[Any] = []

        def come_late(_: str) -> None:
            if len(stream.completion.text) > 60 and not stream.listener_count("partial"):
                stream.on("partial", partials.append)

        stream.on("text", come_late)
        await stream
    assert partials[0]["city"] == "Tromsø 🌊"
    assert partials[-1] == json.loads(TEXT)


async def test_partials_can_be_iterated_over_and_waited_for() -> None:
    async with completion_server(feed(TEXT)) as server, StreamDriver(server.base_url, model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        partials = [partial async for partial in stream.events("partial")]
        assert partials[-1] == json.loads(TEXT)
        assert (await stream_parsed(driver, "?", Week).wait_for("partial")) == {}


async def test_sinks_and_the_closing_of_the_driver_reach_it_too() -> None:
    texts: list[str] = []
    script: Script = [Send(sse(chunk("{"), done=False)), Hang()]
    async with completion_server(script) as server:
        async with StreamDriver(server.base_url, model="m", sinks=[lambda s: s.on("text", texts.append)]) as driver:
            stream = stream_parsed(driver, "?", Week).start()
            await stream.wait_for("text")
        assert stream.completion.ended_by == "abort"
    assert texts == ["{"]


async def test_one_that_is_never_started_warns_only_where_somebody_listens() -> None:
    async with StreamDriver("http://127.0.0.1:1/v1", model="m") as driver:
        stream = stream_parsed(driver, "?", Week)
        del stream
        gc.collect()
        stream = stream_parsed(driver, "?", Week)
        stream.on("partial", print)
        with pytest.warns(RuntimeWarning, match="never started"):
            del stream
            gc.collect()


@pytest.mark.parametrize("kind", [complex, object, list[complex]])
async def test_a_type_without_a_schema_is_refused(kind: type) -> None:
    async with StreamDriver("http://127.0.0.1:1/v1", model="m") as driver:
        with pytest.raises(TypeError, match="no JSON schema"):
            stream_parsed(driver, "?", kind)
        with pytest.raises(ValueError, match="cannot be strict"):
            stream_parsed(driver, "?", dict[str, int], strict=True)


async def test_a_megabyte_in_pieces_of_four_takes_linear_time() -> None:
    async def seconds(size: int) -> float:
        text = json.dumps({"city": "x" * (size // 2), "days": [{"sky": "clear", "high": 1}] * (size // 64)})
        script = feed(text)
        best = float("inf")
        for _ in range(2):
            begun = time.process_time()
            completion, partials, _ = await run(script)
            best = min(best, time.process_time() - begun)
            assert partials[-1] == json.loads(text)
            assert len(completion.parsed.city) == size // 2
        return best

    small, large = await seconds(16_000), await seconds(64_000)
    assert large < 10 * small  # quadratic time: 16 times


@pytest.mark.parametrize(
    ("text", "path"),
    [('{"value": ["a", 1]}', "$[...][1]"), ("{}", "$"), ('["a", 1]', "$"), ('{"values": []}', "$")],
)
async def test_what_does_not_fit_inside_of_the_object_says_where(text: str, path: str) -> None:
    async with completion_server(feed(text)) as server, StreamDriver(server.base_url, model="m") as driver:
        with pytest.raises(ParseFailed) as caught:
            await stream_parsed(driver, "?", list[str])
    assert caught.value.reason == "type"
    assert f"(at {path})" in str(caught.value)
