"""Answers of real servers, replayed byte for byte with their HTTP framing: each ends as that server meant it."""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from streamkit import (
    Completion,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamDriver,
    StreamError,
)
from streamkit.testing import Cut, Raw, Step, Wait, completion_server

from .conftest import SHARED

FOLDER = SHARED / "captures"
LARGE = {
    "lcp.no_messages",
    "lcp.tools_named",
    "litellm-relay-vllm.enginekill.stream",
    "llamaserver-deepseek-reason.seed1",
    "llamaserver-functionary-tools.seed1",
    "vllm.enginekill",
}
"""Those of more than 6,000 bytes."""


class Ends(NamedTuple):
    """How a capture ends."""

    by: str
    reasons: dict[int, str | None] = {}
    usage: tuple[int, int] | None = None
    calls: tuple[tuple[str, str], ...] = ()
    quirks: frozenset[str] = frozenset()


class Fails(NamedTuple):
    """How a capture fails."""

    error: type[StreamError]
    message: str
    status: int | None = None
    code: str | None = None
    type: str | None = None
    retryable: bool = False
    choices: int = 0
    """How many choices had something to say before."""


GRAMMAR = "The model produced output that does not match the expected peg-native format"
ENGINE = "EngineCore encountered an issue. See stack trace (above) for the root cause."

ENDINGS: dict[str, Ends | Fails] = {
    "aimock-blocks.usage": Ends("done", {0: "tool_calls"}, (7, 11), (("get_weather", '{"city":"Oslo"}'),)),
    "aimock-disconnect.usage": Fails(ConnectionLost, "cut", retryable=True, choices=1),
    "aimock-malformed.usage": Fails(ProtocolError, "{malformed json: <<<chaos>>>"),
    "aimock-ratelimit.usage": Fails(StatusError, "Rate limited", 429, None, "rate_limit_error", retryable=True),
    "aimock-reason.usage": Ends("done", {0: "stop"}, (7, 2)),
    "aimock-tools.usage": Ends(
        "done",
        {0: "tool_calls"},
        (7, 14),
        (("get_weather", '{"city":"Paris"}'), ("get_weather", '{"city":"Rome"}')),
    ),
    "katan.tools_auto": Ends(
        "eof", {0: "tool_calls"}, (7, 15), (("get_weather", '{"city": "test_city"}'),), frozenset({"json_body"})
    ),
    "lcp.bad_auth": Fails(StatusError, "Invalid API key", 401),
    "lcp.no_messages": Ends("done", {0: "stop"}),
    "lcp.overlong": Fails(EmptyStream, "no chunk", retryable=True),
    "lcp.stream": Ends("done", {0: "length"}),
    # The name comes with every one of 41 deltas, and as a legacy function_call beside it.
    "lcp.tools_named": Ends(
        "done",
        {0: "tool_calls"},
        None,
        (("get_weather", '{"city" : "ޗgܬ} wörldP 你꺬 🎉🚀 45䚀\x18\x1d quickar ar {"} '),),
    ),
    "litellm-mock-ratelimit.stream": Fails(
        StatusError, "this is a mock rate limit error", 429, "429", "throttling_error", retryable=True
    ),
    "litellm-relay-vllm.enginekill.stream": Fails(ServerError, ENGINE, 500, "500", None, retryable=True, choices=8),
    "litellm.n2": Ends("done", {0: "stop", 1: None}),  # this relay loses the second choice's finish_reason
    "litellm.no_auth": Fails(StatusError, "Internal Server Error", 500, retryable=True),
    "litellm.usage": Ends("done", {0: "stop"}, (19, 21)),
    "llamaserver-deepseek-reason.seed1": Ends("done", {0: "length"}, (36, 60)),
    "llamaserver-functionary-tools.seed1": Fails(
        ServerError, GRAMMAR, 500, "500", "server_error", retryable=True, choices=1
    ),
    "llamaserver-functionary-tools.seed2": Ends(
        "done", {0: "tool_calls"}, (519, 17), (("get_weather", '{"city": "}}- are7"}'),)
    ),
    "llamaserver-functionary-tools.seed3": Fails(
        ServerError, GRAMMAR, 500, "500", "server_error", retryable=True, choices=1
    ),
    "llamaserver.bad_auth": Fails(StatusError, "Invalid API Key", 401, "401", "authentication_error"),
    "llamaserver.kill9": Fails(ConnectionLost, "cut", retryable=True, choices=2),
    "llamaserver.logprobs": Ends("done", {0: "length"}),
    "llamaserver.n2": Ends("done", {0: "length", 1: "length"}),
    "llamaserver.overlong": Fails(
        StatusError, "exceeds the available context size (1024 tokens)", 400, "400", "exceed_context_size_error"
    ),
    "llamaserver.stream": Ends("done", {0: "length"}),
    "llamaserver.term": Fails(ConnectionLost, "cut", retryable=True, choices=2),
    "llamaserver.usage": Ends("done", {0: "length"}, (37, 16)),
    "llmock.stream": Ends("done", {0: "stop"}),  # no content type
    "oaimockapi.stream": Ends("done", {0: "stop"}),  # text/plain
    "tfserve.bad_json": Fails(StatusError, "body.10: JSON decode error", 422),
    "tfserve.bad_model": Fails(StatusError, "requested 'no-such-model'", 400),
    "tfserve.kill9": Fails(ConnectionLost, "cut", retryable=True, choices=1),
    "tfserve.stream": Ends("eof", {0: "length"}, (37, 16)),  # this server never sends [DONE]
    "vllm.bad_auth": Fails(StatusError, "Unauthorized", 401),
    "vllm.bad_model": Fails(StatusError, "The model `no-such-model` does not exist", 404, "404", "NotFoundError"),
    "vllm.enginekill": Fails(ServerError, ENGINE, 500, "500", "InternalServerError", retryable=True, choices=8),
    "vllm.json_schema": Ends("done", {0: "stop"}),
    "vllm.logprobs": Ends("done", {0: "length"}),
    "vllm.n2": Ends("done", {0: "length", 1: "length"}),
    "vllm.overlong": Fails(StatusError, "maximum context length is 512 tokens", 400, "400", "BadRequestError"),
    "vllm.stream": Ends("done", {0: "length"}),
    "vllm.term": Fails(ConnectionLost, "cut", retryable=True, choices=8),
    # With a named tool this engine's grammar allows any JSON value, and its finish_reason is "stop".
    "vllm.tools_named": Ends("done", {0: "stop"}, None, (("get_weather", "45E123454537774"),)),
    "vllm.tools_required": Ends("done", {0: "tool_calls"}, None, (("get_weather", "57698095812"),)),
    "vllm.usage": Ends("done", {0: "length"}, (37, 16)),
}


def raw(capture: str) -> bytes:
    return (FOLDER / f"{capture}.raw").read_bytes()


def body_of(answer: bytes) -> bytes:
    """The body of an HTTP answer, by other means than the client's."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if b"transfer-encoding: chunked" not in head.lower():
        return body
    pieces = []
    while size := re.match(rb"([0-9a-fA-F]+)\r\n", body):
        length = int(size[1], 16)
        pieces.append(body[size.end() : size.end() + length])
        body = body[size.end() + length + 2 :]
    return b"".join(pieces)


def events_in(answer: bytes) -> list[dict[str, Any]]:
    """The JSON of a feed that is known to have one `data:` line an event."""
    lines = [line[6:] for line in body_of(answer).split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line) for line in lines if line != b"[DONE]"]


def texts_in(answer: bytes, field: str) -> dict[int, str]:
    texts: dict[int, str] = {}
    for event in events_in(answer):
        for choice in event.get("choices", ()):
            delta = choice["delta"]
            texts[choice["index"]] = texts.get(choice["index"], "") + (delta.get(field) or "")
    return texts


async def replay(*scripts: list[Step]) -> list[tuple[Completion, StreamError | None]]:
    """What comes of each answer, in order."""
    results: list[tuple[Completion, StreamError | None]] = []
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, retries=0) as driver:
        for _ in scripts:
            try:
                results.append((await driver.stream("hi", model="m"), None))
            except StreamError as error:
                results.append((error.completion, error))
    return results


def assert_ends(capture: str, completion: Completion, error: StreamError | None) -> None:
    expected = ENDINGS[capture]
    if isinstance(expected, Fails):
        assert error is not None
        assert type(error) is expected.error, error
        assert expected.message in error.message
        found = (error.status, error.code, error.type, error.retryable)
        assert found == (expected.status, expected.code, expected.type, expected.retryable)
        assert len(completion.choices) == expected.choices
        assert (completion.ended_by, completion.complete) == ("error", False)
    else:
        assert error is None
        assert (completion.ended_by, completion.complete) == (expected.by, True)
        assert {choice.index: choice.finish_reason for choice in completion.choices} == expected.reasons
        usage = completion.usage
        assert (usage and (usage.prompt_tokens, usage.completion_tokens)) == expected.usage
        assert tuple((call.name, call.arguments) for call in completion.tool_calls) == expected.calls
        assert expected.quirks <= completion.quirks.keys()
    # Nothing that had arrived is lost, whatever the ending.
    if completion.choices and "json_body" not in completion.quirks:
        contents = {choice.index: choice.message.content or "" for choice in completion.choices}
        assert contents == texts_in(raw(capture), "content")
        reasonings = {choice.index: choice.message.reasoning or "" for choice in completion.choices}
        assert reasonings == texts_in(raw(capture), "reasoning_content")


def test_every_capture_is_listed(shared: Path) -> None:
    captures = {path.name.removesuffix(".raw") for path in (shared / "captures").glob("*.raw")}
    captures = {name for name in captures if not name.startswith("ai-ui")}  # another dialect
    assert captures == ENDINGS.keys()
    assert {name for name in captures if len(raw(name)) >= 6_000} == LARGE


@pytest.mark.parametrize("capture", ENDINGS)
async def test_capture_in_one_write(shared: Path, capture: str) -> None:
    [(completion, error)] = await replay([Raw(raw(capture)), Cut()])
    assert_ends(capture, completion, error)


@pytest.mark.parametrize("capture", ENDINGS)
async def test_capture_in_odd_writes(shared: Path, capture: str) -> None:
    answer = raw(capture)
    scripts: list[list[Step]] = []
    for size in (7, 61, 1_021):
        steps: list[Step] = []
        for start in range(0, len(answer), size):
            # Two turns of the loop that both sides share, and the client has read it before the next is written.
            steps += [Raw(answer[start : start + size]), Wait(0), Wait(0)]
        scripts.append([*steps, Cut()])
    asyncio.get_running_loop().set_debug(False)  # slow: thousands of callbacks, each with its traceback
    for completion, error in await replay(*scripts):
        assert_ends(capture, completion, error)


@pytest.mark.parametrize("capture", [capture for capture in ENDINGS if capture not in LARGE])
async def test_small_capture_in_one_byte_writes(shared: Path, capture: str) -> None:
    asyncio.get_running_loop().set_debug(False)
    steps: list[Step] = []
    for byte in raw(capture):
        steps += [Raw(bytes([byte])), Wait(0), Wait(0)]
    [(completion, error)] = await replay([*steps, Cut()])
    assert_ends(capture, completion, error)


async def test_tool_calls_of_an_answer_that_broke_off(shared: Path) -> None:
    """The first call was whole, the second half-done: both are there, as far as they came."""
    [(completion, error)] = await replay([Raw(raw("llamaserver-functionary-tools.seed1")), Cut()])
    assert isinstance(error, ServerError)
    whole, half = completion.tool_calls
    assert (whole.name, whole.parsed) == ("get_weather", {"city": "፡世界世界mу}"})
    assert (half.name, half.arguments) == ("get_weather", '{"city"\n\n \t:"\'V')


@pytest.mark.parametrize("capture", ["vllm.logprobs", "llamaserver.logprobs"])
async def test_logprobs_are_collected(shared: Path, capture: str) -> None:
    [(completion, _)] = await replay([Raw(raw(capture)), Cut()])
    sent = [
        token
        for event in events_in(raw(capture))
        for choice in event["choices"]
        for token in (choice.get("logprobs") or {}).get("content") or ()
    ]
    assert len(sent) > 1
    logprobs = completion.choices[0].logprobs
    assert logprobs is not None
    assert logprobs["content"] == sent


async def test_a_keep_alive_before_the_first_chunk_is_a_heartbeat(shared: Path) -> None:
    heartbeats: list[str] = []
    async with (
        completion_server([Raw(raw("lcp.no_messages")), Cut()]) as server,
        StreamDriver(server.base_url) as driver,
    ):
        stream = driver.stream("hi", model="m")
        stream.on("heartbeat", lambda heartbeat: heartbeats.append(heartbeat.comment))
        await stream
    assert heartbeats
    assert heartbeats[0] == "ping - 2026-11-22 18:26:13.166161+00:00"


async def test_the_retry_after_of_a_rate_limit(shared: Path) -> None:
    [(_, error)] = await replay([Raw(raw("aimock-ratelimit.usage")), Cut()])
    assert isinstance(error, StatusError)
    assert error.retry_after == 1.0
    assert error.request_id == "req-dX__27Lk3ZnrVu8c"


async def test_a_second_feed_after_a_failed_one(shared: Path) -> None:
    """The connection of a cut answer is not used again."""
    [(_, error), (completion, none)] = await replay([Raw(raw("vllm.term")), Cut()], [Raw(raw("vllm.usage")), Cut()])
    assert isinstance(error, ConnectionLost)
    assert none is None
    assert completion.text == texts_in(raw("vllm.usage"), "content")[0]
