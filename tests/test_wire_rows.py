"""What real feeds do, and what comes of it: one test a row, over real HTTP, each body whole and in one-byte reads.

The numbers are those of the table "What real feeds do"; rows about long time limits need a clock that can be driven, and are
tested where the timers are.
"""

from __future__ import annotations

import asyncio
import gzip
import importlib
import json
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

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
    StreamTimeout,
    Timeout,
    TruncatedStream,
    Usage,
)
from streamkit.testing import (
    Cut,
    End,
    Hang,
    Headers,
    Raw,
    Reset,
    Script,
    Send,
    Step,
    Wait,
    answer,
    chunk,
    completion_server,
    sse,
)

from .conftest import require_or_skip

Sender: TypeAlias = Callable[[bytes], list[Step]]


def whole(body: bytes) -> list[Step]:
    return [Send(body)]


def one_byte_a_read(body: bytes) -> list[Step]:
    """After each byte the loop, which server and client share, turns twice: then the client has read it."""
    return [step for byte in body for step in (Send(bytes([byte])), Wait(0), Wait(0))]


@pytest.fixture(params=[whole, one_byte_a_read], ids=["whole", "one byte a read"])
def send(request: pytest.FixtureRequest) -> Sender:
    sender: Sender = request.param
    return sender


_Error = TypeVar("_Error", bound=StreamError)


class Outcome(NamedTuple):
    completion: Completion
    error: StreamError | None
    events: list[tuple[str, Any]]
    """Every event but `read` and `listener_error`: its name and its payload."""

    def payloads(self, name: str) -> list[Any]:
        return [payload for event, payload in self.events if event == name]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.events]

    @property
    def warned(self) -> list[str]:
        return [warning.kind for warning in self.payloads("warning")]

    @property
    def texts(self) -> list[str]:
        return self.payloads("text")

    def assert_done(self) -> Completion:
        assert self.error is None, self.error
        assert self.names[-2:] == ["done", "end"]
        assert self.names.count("done") == 1
        assert self.completion.complete
        # Guarantees of every stream, whatever the row: the events say the same as the completion.
        assert "".join(self.texts) == self.completion.text
        assert "".join(self.payloads("reasoning")) == self.completion.reasoning
        assert self.payloads("text_done") == [self.completion.text]
        assert tuple(self.payloads("tool_call")) == tuple(
            call for choice in self.completion.choices for call in choice.message.tool_calls
        )
        for kind in set(self.warned):
            assert self.completion.quirks[kind] == self.warned.count(kind)
        return self.completion

    def assert_failed(self, kind: type[_Error], text: str = "") -> _Error:
        """The error, when it is of this kind, and all that had arrived was published."""
        assert type(self.error) is kind, self.error
        assert self.names[-2:] == ["error", "end"]
        assert self.completion.ended_by == "error"
        assert not self.completion.complete
        assert self.completion.text == text == "".join(self.texts)
        return self.error


async def run(*scripts: Script, retries: int = 0, **options: Any) -> Outcome:
    asyncio.get_running_loop().set_debug(False)  # a traceback for each of thousands of reads takes seconds
    events: list[tuple[str, Any]] = []
    async with (
        completion_server(*scripts) as server,
        StreamDriver(server.base_url, retries=retries, **options) as driver,
    ):
        stream = driver.stream("hi", model="m")
        stream.on("*", lambda event: events.append((event.name, event.payload)))
        try:
            return Outcome(await stream, None, events)
        except StreamError as error:
            return Outcome(error.completion, error, events)


HEL = chunk("Hel", role="assistant")
LO = chunk("lo")
STOP = chunk(finish_reason="stop")
HELLO = sse(HEL, LO, STOP)


def choices(*choices: object, **fields: object) -> dict[str, object]:
    """A chunk with the choices as given, and no other field than those given."""
    return {"choices": list(choices), **fields}


def delta(**delta: object) -> dict[str, object]:
    """A chunk with one choice and this delta, and nothing else."""
    return choices({"index": 0, "delta": delta})


def tool(
    index: int | None = None,
    call_id: str | None = None,
    name: str | None = None,
    arguments: object = None,
    **more: object,
) -> dict[str, object]:
    """One fragment of a tool call; what is None is left out."""
    function = {key: value for key, value in (("name", name), ("arguments", arguments)) if value is not None}
    fields = {"index": index, "id": call_id, "function": function or None, **more}
    return {key: value for key, value in fields.items() if value is not None}


def calls(*fragments: dict[str, object], finish_reason: str | None = None) -> dict[str, object]:
    return choices({"index": 0, "delta": {"tool_calls": list(fragments)}, "finish_reason": finish_reason})


CALLED = chunk(finish_reason="tool_calls")


# --- the outcome of the whole stream ----------------------------------------------------------------------------------


async def test_row_1_eof_with_neither_finish_nor_done(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO, done=False)))
    assert outcome.assert_failed(TruncatedStream, "Hello").retryable


async def test_row_1_accepted_by_policy(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO, done=False)), on_truncation="accept")
    assert outcome.error is None
    assert outcome.names[-2:] == ["done", "end"]
    assert (outcome.completion.text, outcome.completion.finish_reason) == ("Hello", None)
    assert len(outcome.warned) == 1


async def test_row_2_done_without_a_finish_reason(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO)))
    completion = outcome.assert_done()
    assert (completion.text, completion.finish_reason, completion.ended_by) == ("Hello", None, "done")
    assert len(outcome.warned) == 1


async def test_row_3_finish_without_done(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO, STOP, done=False)))
    completion = outcome.assert_done()
    assert (completion.text, completion.finish_reason, completion.ended_by) == ("Hello", "stop", "eof")


async def test_row_3_one_choice_of_two_without_a_finish(send: Sender) -> None:
    outcome = await run(send(sse(HEL, chunk("other", index=1), STOP, done=False)))
    outcome.assert_failed(TruncatedStream, "Hel")
    assert outcome.completion.choices[1].message.content == "other"


async def test_row_3b_cut_after_every_choice_finished(send: Sender) -> None:
    outcome = await run([*send(sse(HEL, LO, STOP, done=False)), Cut()])
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.warned) == 1


async def test_row_3b_cut_before_the_usage(send: Sender) -> None:
    usage = sse(chunk(usage={"total_tokens": 3}))
    outcome = await run([*send(sse(HEL, STOP, done=False) + usage[:20]), Cut()])
    assert outcome.assert_done().text == "Hel"
    assert outcome.completion.usage is None


@pytest.mark.parametrize("body", [b"", b": ping\n\n: ping\n\n", b"data: [DONE]\n\n", b"\n\n", b"data:\n\n"])
async def test_row_4_nothing_in_the_feed(send: Sender, body: bytes) -> None:
    outcome = await run([*send(body), End()])
    outcome.assert_failed(EmptyStream)


async def test_row_5_cut_inside_a_chunked_body(send: Sender) -> None:
    outcome = await run([*send(sse(HEL, LO, done=False)), Cut()])
    assert outcome.assert_failed(ConnectionLost, "Hello").retryable


async def test_row_5_cut_in_the_middle_of_an_event(send: Sender) -> None:
    outcome = await run([*send(sse(HEL, done=False) + sse(LO)[:30]), Cut()])
    outcome.assert_failed(ConnectionLost, "Hel")


async def test_row_5_reset_inside_a_chunked_body(send: Sender) -> None:
    outcome = await run([*send(sse(HEL, LO, done=False)), Reset()])
    outcome.assert_failed(ConnectionLost, "Hello")


async def test_row_6_cut_of_a_close_delimited_body(send: Sender) -> None:
    outcome = await run([Headers(framing="close"), *send(sse(HEL, LO, done=False)), Cut()])
    outcome.assert_failed(TruncatedStream, "Hello")


async def test_row_6_cut_of_a_close_delimited_body_inside_an_event(send: Sender) -> None:
    # Half an event is no event: what is lost is what never came whole.
    outcome = await run([Headers(framing="close"), *send(sse(HEL, done=False) + sse(LO)[:30]), Cut()])
    outcome.assert_failed(TruncatedStream, "Hel")


async def test_row_7_done_and_the_socket_stays_open(send: Sender) -> None:
    async with completion_server([*send(HELLO), Hang()]) as server, StreamDriver(server.base_url) as driver:
        async with asyncio.timeout(5):
            completion = await driver.stream("hi", model="m")
            assert (completion.text, completion.ended_by) == ("Hello", "done")
            await server.requests[0].closed.wait()


async def test_row_7b_finished_and_the_socket_stays_silent(send: Sender) -> None:
    timeout = Timeout(after_finish=0.05, idle=60)
    outcome = await run([*send(sse(HEL, LO, STOP, done=False)), Hang()], timeout=timeout)
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.warned) == 1


ERROR = {"error": {"message": "the model is gone", "code": "model_gone", "type": "server_error"}}


async def test_row_8_json_with_an_error_object(send: Sender) -> None:
    body = json.dumps(ERROR).encode()
    outcome = await run([Headers(headers={"content-type": "application/json"}), *send(body)])
    error = outcome.assert_failed(ServerError)
    assert "the model is gone" in error.message
    assert (error.code, error.type) == ("model_gone", "server_error")


async def test_row_9_json_with_a_whole_completion(send: Sender) -> None:
    answer = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    outcome = await run([Headers(headers={"content-type": "application/json"}), *send(json.dumps(answer).encode())])
    completion = outcome.assert_done()
    assert (completion.text, completion.finish_reason, completion.id, completion.model) == (
        "Hello",
        "stop",
        "chatcmpl-1",
        "m1",
    )
    assert completion.usage == Usage(1, 2, 3)
    assert len(outcome.payloads("chunk")) == 1
    assert len(outcome.warned) == 1


@pytest.mark.parametrize(
    ("content_type", "body"),
    [
        ("text/html", b"<html><title>Sign in</title>" + 2_000 * b"<p>please</p>"),
        ("text/plain", b"upstream connect error"),
        ("application/json", b"[1, 2]"),
        ("application/json", b'{"detail'),
    ],
)
async def test_row_10_no_feed_at_all(send: Sender, content_type: str, body: bytes) -> None:
    outcome = await run([Headers(headers={"content-type": content_type}), *send(body[:4_000])])
    error = outcome.assert_failed(ProtocolError)
    assert content_type in error.message
    assert body[:12].decode() in error.message
    assert len(error.message) < 400


@pytest.mark.parametrize(
    ("status", "content_type", "body", "message", "code", "retryable"),
    [
        (
            401,
            "application/json",
            b'{"error":{"message":"no such key","code":"bad_key","type":"auth"}}',
            "no such key",
            "bad_key",
            False,
        ),
        (400, "application/json", b'{"detail":"no such field"}', "no such field", None, False),
        (
            422,
            "application/json",
            b'{"detail":[{"loc":["body","n"],"msg":"too many"}]}',
            "body.n: too many",
            None,
            False,
        ),
        (500, "text/plain", b"Internal Server Error", "Internal Server Error", None, True),
        (502, "text/html", b"<html><head><title>502 Bad Gateway</title></head></html>", "502 Bad Gateway", None, True),
        (503, "application/json", b"", "503", None, True),
    ],
)
async def test_row_11_error_statuses(
    send: Sender, status: int, content_type: str, body: bytes, message: str, code: str | None, retryable: bool
) -> None:
    headers = {"content-type": content_type, "x-request-id": "req_7", "retry-after": "3"}
    outcome = await run([Headers(status, headers), *send(body)])
    error = outcome.assert_failed(StatusError)
    assert message in error.message
    assert "<html" not in error.message
    found = (error.status, error.code, error.request_id, error.retry_after, error.retryable)
    assert found == (status, code, "req_7", 3.0, retryable)
    assert "connect" not in outcome.names


@pytest.mark.parametrize("reason", ["length", "content_filter"])
async def test_row_12_length_and_filter_are_no_errors(send: Sender, reason: str) -> None:
    outcome = await run(send(sse(HEL, chunk(finish_reason=reason))))
    assert outcome.assert_done().finish_reason == reason


async def test_row_13_finish_reason_error(send: Sender) -> None:
    outcome = await run(send(sse(HEL, chunk(finish_reason="error"))))
    outcome.assert_failed(ServerError, "Hel")


@pytest.mark.parametrize("reason", ["eos", "abort", "sensitive", "network_error", "insufficient_system_resource"])
async def test_row_14_unknown_finish_reasons(send: Sender, reason: str) -> None:
    outcome = await run(send(sse(HEL, chunk(finish_reason=reason))))
    assert outcome.assert_done().finish_reason == reason


# --- framing ----------------------------------------------------------------------------------------------------------


async def test_row_15_comments_are_heartbeats(send: Sender) -> None:
    comments = [b": OPENROUTER PROCESSING\n\n", b": keep-alive\n\n", b": ping\n\n"]
    outcome = await run(send(sse(comments[0], HEL, comments[1], LO, comments[2], STOP)))
    assert outcome.assert_done().text == "Hello"
    heartbeats = [heartbeat.comment for heartbeat in outcome.payloads("heartbeat")]
    assert heartbeats == ["OPENROUTER PROCESSING", "keep-alive", "ping"]
    assert len(outcome.payloads("chunk")) == 3
    assert outcome.completion.quirks == {}


async def test_row_16_sticky_ids_make_no_events(send: Sender) -> None:
    feed = sse(b"id: 1\n", HEL, b": keep-alive\n\n", b"id: 2\n\n", b"retry: 3000\n\n", b"id: 3\nretry: 1\n\n", LO, STOP)
    outcome = await run(send(feed))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.payloads("chunk")) == 3
    assert outcome.warned == []


async def test_row_17_events_without_data(send: Sender) -> None:
    outcome = await run(send(sse(HEL, b"data:\n\n", b"event: ping\n\n", b"data\n\n", b"data: \n\n", LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.payloads("chunk")) == 3
    assert outcome.warned == []


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"], ids=["LF", "CRLF", "CR"])
async def test_row_18_line_ends_and_no_space(send: Sender, end: bytes) -> None:
    feed = HELLO.replace(b"data: ", b"data:").replace(b"\n", end)
    outcome = await run(send(feed))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.payloads("chunk")) == 3


async def test_row_18_a_mix_of_line_ends(send: Sender) -> None:
    events = [sse(payload, done=False) for payload in (HEL, LO, STOP)]
    feed = events[0].replace(b"\n", b"\r\n") + events[1].replace(b"\n", b"\r") + events[2].replace(b"\n\n", b"\r\n\n")
    outcome = await run(send(feed + b"data: [DONE]\n\n"))
    assert outcome.assert_done().text == "Hello"


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
async def test_row_18_done_without_its_final_newline(send: Sender, end: bytes) -> None:
    outcome = await run(send(HELLO.removesuffix(b"\n\n") + end))
    completion = outcome.assert_done()
    assert (completion.text, completion.ended_by) == ("Hello", "done")


async def test_row_19_last_event_without_its_blank_line(send: Sender) -> None:
    outcome = await run(send(sse(HEL, chunk("lo", finish_reason="stop"), done=False).rstrip(b"\n")))
    assert outcome.assert_done().text == "Hello"


async def test_row_20_byte_order_mark(send: Sender) -> None:
    outcome = await run(send(b"\xef\xbb\xbf" + HELLO))
    assert outcome.assert_done().text == "Hello"
    assert outcome.warned == []


async def test_row_21_any_split_gives_the_same_events() -> None:
    feed = sse(chunk("é€😀", role="assistant"), b": c\r\n\r\n", LO, STOP).replace(b"\n", b"\r\n")
    expected = await run(whole(feed))
    for size in (1, 2, 3, 5, 50):
        steps: list[Step] = []
        for start in range(0, len(feed), size):
            steps += [Send(feed[start : start + size]), Wait(0), Wait(0)]
        found = await run(steps)
        assert found.assert_done().text == "é€😀lo"
        assert found.names == expected.names
        assert found.payloads("chunk") == expected.payloads("chunk")


async def test_row_22_unicode_line_ends_are_data(send: Sender) -> None:
    text = "a\u2028b\u2029c\u0085d"
    raw = b'data: {"choices":[{"index":0,"delta":{"content":"e"}}],"x":"\x0b\x0c"}\n\n'  # control characters, bare
    outcome = await run(send(sse(chunk(text), STOP)))
    assert outcome.assert_done().text == text
    assert outcome.warned == []
    outcome = await run(send(sse(HEL, raw, STOP)))
    assert outcome.assert_done().text.startswith("Hel")
    assert len(outcome.payloads("chunk")) + len(outcome.warned) == 3  # one event, whatever is thought of its JSON


async def test_row_23_a_line_of_20_mb() -> None:
    text = "x" * 20_000_000
    body = sse(chunk(text), STOP)
    steps = [Send(body[start : start + 2**16]) for start in range(0, len(body), 2**16)]
    outcome = await run(steps)
    assert outcome.assert_done().text == text


async def test_row_23_past_the_limit(send: Sender) -> None:
    outcome = await run(send(sse(HEL, chunk("x" * 1_000), STOP)), max_event_bytes=500)
    assert "max_event_bytes" in outcome.assert_failed(ProtocolError, "Hel").message


async def test_row_23_no_limit(send: Sender) -> None:
    outcome = await run(send(sse(HEL, chunk("x" * 1_000), STOP)), max_event_bytes=None)
    assert outcome.assert_done().text == "Hel" + "x" * 1_000


async def test_row_24_invalid_utf_8(send: Sender) -> None:
    feed = sse(chunk("a?b"), STOP).replace(b"a?b", b"a\xffb")
    outcome = await run(send(feed))
    assert outcome.assert_done().text == "a\ufffdb"
    assert len(outcome.warned) == 1


@pytest.mark.parametrize(
    "event", [b'data: data: {"choices":[]}\n\n', b"data: : keep-alive\n\n", b"data: error: text\n\n"]
)
async def test_row_25_wrapped_once_too_often(send: Sender, event: bytes) -> None:
    outcome = await run(send(sse(HEL, event, LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    [warning] = outcome.payloads("warning")
    assert warning.excerpt
    assert warning.excerpt in event.decode()


def deflated(body: bytes) -> bytes:
    return zlib.compress(body)


def raw_deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


@pytest.mark.parametrize(
    ("coding", "encode"),
    [("gzip", gzip.compress), ("deflate", deflated), ("deflate", raw_deflated)],
    ids=["gzip", "deflate", "raw deflate"],
)
async def test_row_26_content_encodings(send: Sender, coding: str, encode: Callable[[bytes], bytes]) -> None:
    outcome = await run([Headers(headers={"content-encoding": coding}), *send(encode(HELLO))])
    assert outcome.assert_done().text == "Hello"


async def test_row_26_gzip_is_read_as_it_is_flushed() -> None:
    """A proxy that compresses flushes after each event: no event waits for the end of the body."""
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    first = packer.compress(sse(HEL, done=False)) + packer.flush(zlib.Z_SYNC_FLUSH)
    script: list[Step] = [Headers(headers={"content-encoding": "gzip"}), Send(first), Hang()]
    async with (
        completion_server(script) as server,
        StreamDriver(server.base_url) as driver,
        asyncio.timeout(5),
        driver.stream("hi", model="m") as stream,
    ):
        assert await stream.wait_for("text") == "Hel"


async def test_row_26_br_with_the_extra(send: Sender) -> None:
    try:
        compress = importlib.import_module("brotli").compress
    except ImportError:
        require_or_skip("Brotli is not installed; it comes with the extra br")
    outcome = await run([Headers(headers={"content-encoding": "br"}), *send(compress(HELLO))])
    assert outcome.assert_done().text == "Hello"


async def test_row_26_br_without_the_extra(send: Sender, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiohttp.http_parser.HAS_BROTLI", False)
    # What a brotli body is does not matter where nobody can read it.
    outcome = await run([Headers(headers={"content-encoding": "br"}), *send(b"\x0b\x02\x80abc\x03")])
    assert "pip install 'streamkit-asyncio[br]'" in outcome.assert_failed(ProtocolError).message


@pytest.mark.parametrize(
    "content_type",
    ["text/plain", "text/plain; charset=utf-8", "", "application/octet-stream", "text/event-stream;charset=latin-1"],
)
async def test_row_26_odd_content_types(send: Sender, content_type: str) -> None:
    outcome = await run([Headers(headers={"content-type": content_type}), *send(HELLO)])
    assert outcome.assert_done().text == "Hello"
    assert outcome.warned == []


async def test_row_26_no_content_type() -> None:
    head = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
    outcome = await run([Raw(head + HELLO), Cut()])
    assert outcome.assert_done().text == "Hello"


async def test_row_27_a_malformed_chunk_is_skipped(send: Sender) -> None:
    outcome = await run(send(sse(HEL, '{"choices":[{"ind' + 500 * "x", LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    [warning] = outcome.payloads("warning")
    assert warning.excerpt.startswith('{"choices":[{"ind')
    assert len(warning.excerpt) < 200


async def test_row_27_twenty_are_skipped_and_no_more(send: Sender) -> None:
    outcome = await run(send(sse(HEL, *20 * ["{"], LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.warned) == 20
    outcome = await run(send(sse(HEL, *21 * ["{"], LO, STOP)))
    outcome.assert_failed(ProtocolError, "Hel")


async def test_row_27_none_are_skipped_on_request(send: Sender) -> None:
    outcome = await run(send(sse(HEL, "{", LO, STOP)), max_malformed=0)
    outcome.assert_failed(ProtocolError, "Hel")


@pytest.mark.parametrize("payload", ["null", "7", "1.5", "true", '"text"', "[]", '[{"choices":[]}]'])
async def test_row_28_json_that_is_no_object(send: Sender, payload: str) -> None:
    outcome = await run(send(sse(HEL, payload, LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.warned) == 1


async def test_row_28_an_empty_object_is_an_empty_chunk(send: Sender) -> None:
    outcome = await run(send(sse(HEL, "{}", LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert len(outcome.payloads("chunk")) == 4


# --- errors inside the stream -----------------------------------------------------------------------------------------


async def test_row_29_an_error_object(send: Sender) -> None:
    outcome = await run(send(sse(HEL, ERROR, LO)))
    error = outcome.assert_failed(ServerError, "Hel")
    assert "the model is gone" in error.message
    assert (error.code, error.type) == ("model_gone", "server_error")


async def test_row_30_an_error_text(send: Sender) -> None:
    outcome = await run(send(sse(HEL, {"error": "overloaded"}, LO)))
    assert "overloaded" in outcome.assert_failed(ServerError, "Hel").message


async def test_row_31_an_error_event(send: Sender) -> None:
    outcome = await run(send(sse(HEL, b'event: error\ndata: {"message": "boom", "code": 503}\n\n', LO)))
    error = outcome.assert_failed(ServerError, "Hel")
    assert "boom" in error.message
    assert (error.code, error.status, error.retryable) == ("503", 503, True)


async def test_row_32_a_flat_error_object(send: Sender) -> None:
    outcome = await run(send(sse(HEL, {"object": "error", "message": "boom", "code": 40303, "type": "X"}, LO)))
    error = outcome.assert_failed(ServerError, "Hel")
    assert "boom" in error.message
    assert (error.code, error.type) == ("40303", "X")


async def test_row_33_an_error_field(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO, b'error: {"code":500,"message":"boom","type":"server_error"}\n\n')))
    error = outcome.assert_failed(ServerError, "Hello")
    assert "boom" in error.message
    assert (error.code, error.type, error.status) == ("500", "server_error", 500)


async def test_row_34_an_error_beside_choices(send: Sender) -> None:
    last = {**chunk("lo", finish_reason="error"), "error": {"code": 502, "message": "Upstream error"}}
    outcome = await run(send(sse(HEL, last)))
    error = outcome.assert_failed(ServerError, "Hello")
    assert "Upstream error" in error.message
    assert error.status == 502
    assert outcome.names.index("error") > max(place for place, name in enumerate(outcome.names) if name == "text")


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [(429, 429, True), (500, 500, True), ("429", 429, True), (400, 400, False), ("x", None, False)],
)
async def test_row_35_a_status_in_the_code(send: Sender, code: object, status: int | None, retryable: bool) -> None:
    outcome = await run(send(sse(HEL, {"error": {"message": "no", "code": code}})))
    error = outcome.assert_failed(ServerError, "Hel")
    assert (error.status, error.retryable, error.code) == (status, retryable, str(code))


async def test_row_36_an_error_after_the_finish(send: Sender) -> None:
    outcome = await run(send(sse(HEL, LO, STOP, ERROR)))
    outcome.assert_failed(ServerError, "Hello")
    assert outcome.completion.finish_reason == "stop"


# --- the shape of a chunk ---------------------------------------------------------------------------------------------


async def test_row_37_azures_first_chunk(send: Sender) -> None:
    filters = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
    first = {"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": filters}
    outcome = await run(send(sse(first, HEL, LO, STOP)))
    completion = outcome.assert_done()
    assert (completion.text, completion.id, completion.model) == ("Hello", "chatcmpl-streamkit", "streamkit-test")
    chunks = outcome.payloads("chunk")
    assert (len(chunks), chunks[0].text) == (4, "")
    assert chunks[0].extra["prompt_filter_results"] == filters
    assert outcome.warned == []


@pytest.mark.parametrize("field", [{}, {"delta": None}])
async def test_row_38_azures_asynchronous_filter(send: Sender, field: dict[str, object]) -> None:
    offsets = {"check_offset": 1, "start_offset": 2, "end_offset": 3}
    filtered = choices(
        {"index": 0, "finish_reason": None, "content_filter_offsets": offsets, **field}, id="", object=""
    )
    outcome = await run(send(sse(HEL, filtered, LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert outcome.payloads("chunk")[1].extra["choices"][0]["content_filter_offsets"] == offsets


@pytest.mark.parametrize(
    "odd",
    [
        {"choices": None},
        {"id": "x"},
        {"choices": [{"delta": {"content": ""}}]},
        {"choices": [], "created": 1767225600.25},
        {"id": "another", "created": None, "object": None, "model": None, "choices": [{"index": 0, "delta": {}}]},
    ],
)
async def test_row_39_fields_null_or_missing(send: Sender, odd: dict[str, object]) -> None:
    outcome = await run(send(sse(HEL, odd, LO, STOP)))
    completion = outcome.assert_done()
    assert (completion.text, completion.id) == ("Hello", "chatcmpl-streamkit")
    assert len(outcome.payloads("chunk")) == 4


async def test_row_39_the_barest_feed(send: Sender) -> None:
    feed = sse({"choices": [{"delta": {"content": "Hi"}}]}, {"choices": [{"finish_reason": "stop"}]})
    completion = (await run(send(feed))).assert_done()
    assert (completion.text, completion.id, completion.model, completion.finish_reason) == ("Hi", None, None, "stop")


@pytest.mark.parametrize("role", ["assistant", "", None])
async def test_row_40_a_role_in_each_chunk(send: Sender, role: str | None) -> None:
    outcome = await run(send(sse(HEL, chunk("lo", role=role), chunk("!", role=role), STOP)))
    completion = outcome.assert_done()
    assert (completion.text, completion.choices[0].message.role) == ("Hello!", "assistant")


async def test_row_41_an_empty_finish_reason_is_none(send: Sender) -> None:
    outcome = await run(send(sse(chunk("Hel", finish_reason=""), chunk("lo", finish_reason=""), done=False)))
    outcome.assert_failed(TruncatedStream, "Hello")
    outcome = await run(send(sse(chunk("Hel", finish_reason=""), chunk("lo", finish_reason="length"))))
    assert outcome.assert_done().finish_reason == "length"


async def test_row_42_content_after_the_finish_and_two_finishes(send: Sender) -> None:
    feed = sse(
        HEL, STOP, LO, chunk(finish_reason="length"), chunk("!", finish_reason=""), chunk("", finish_reason=None)
    )
    outcome = await run(send(feed))
    completion = outcome.assert_done()
    assert (completion.text, completion.finish_reason) == ("Hello!", "length")
    last_text = max(place for place, name in enumerate(outcome.names) if name == "text")
    assert outcome.names.count("text_done") == 1
    assert last_text < outcome.names.index("text_done") == outcome.names.index("done") - 1


async def test_row_43_content_in_parts(send: Sender) -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    reference = {"type": "reference", "reference_ids": [1, 2]}
    outcome = await run(
        send(sse(delta(content=[thinking]), delta(content=[{"type": "text", "text": "Hi"}, reference]), LO, STOP))
    )
    completion = outcome.assert_done()
    assert (completion.reasoning, completion.text) == ("hm", "Hilo")
    assert outcome.payloads("chunk")[1].extra["choices"][0]["delta"]["content"] == [reference]


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"reasoning_text": "hm"},
        {"cot_summary": "hm"},
        {"reasoning_details": [{"type": "reasoning.text", "text": "hm"}]},
        {"reasoning_content": "hm", "reasoning": "no"},
        {"reasoning": "hm", "reasoning_text": "no"},
        {"reasoning_text": "hm", "cot_summary": "no"},
        {"cot_summary": "hm", "reasoning_details": [{"type": "reasoning.text", "text": "no"}]},
        {"reasoning": "hm", "reasoning_content": None},
        {"reasoning_content": "", "reasoning": "hm"},
        {"reasoning": "hm", "reasoning_content": "hm", "reasoning_details": [{"text": "hm"}]},
    ],
)
async def test_row_44_reasoning_under_any_name(send: Sender, fields: dict[str, object]) -> None:
    outcome = await run(send(sse(delta(role="assistant", content="", **fields), delta(**fields), LO, STOP)))
    completion = outcome.assert_done()
    assert (completion.reasoning, completion.text) == ("hmhm", "lo")
    assert outcome.payloads("chunk")[0].choices[0].delta.reasoning == "hm"


async def test_row_45_think_tags(send: Sender) -> None:
    pieces = ["<", "thi", "nk>h", "m</th", "ink>", "a < b", "<", "thing>"]
    feed = sse(*map(chunk, pieces), STOP)
    completion = (await run(send(feed), think_tags=True)).assert_done()
    assert (completion.reasoning, completion.text) == ("hm", "a < b<thing>")
    completion = (await run(send(feed))).assert_done()
    assert (completion.reasoning, completion.text) == ("", "".join(pieces))


async def test_row_46_several_choices(send: Sender) -> None:
    both = choices({"index": 1, "delta": {"content": "c"}}, {"index": 0, "delta": {"content": "b"}})
    feed = sse(
        chunk("A", index=1),
        chunk("a", index=0),
        chunk("B", index=1),
        both,
        chunk(index=0, finish_reason="stop"),
        chunk(index=1, finish_reason="length"),
    )
    outcome = await run(send(feed))
    completion = outcome.assert_done()
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in completion.choices] == [
        (0, "ab", "stop"),
        (1, "ABc", "length"),
    ]
    assert completion.text == "ab"


async def test_row_47_legacy_completions(send: Sender) -> None:
    feed = sse(
        choices({"text": "Hel", "index": 0, "logprobs": None, "finish_reason": None}, object="text_completion"),
        choices({"text": "lo", "index": 0, "finish_reason": "stop"}, object="text_completion"),
    )
    completion = (await run(send(feed))).assert_done()
    assert (completion.text, completion.finish_reason) == ("Hello", "stop")


async def test_row_48_surrogates_split_over_deltas(send: Sender) -> None:
    def escaped(text: str) -> bytes:
        return b'data: {"choices":[{"index":0,"delta":{"content":"%b"}}]}\n\n' % text.encode()

    feed = sse(HEL, escaped("\\ud83d"), escaped("\\ude00 ok"), STOP)
    outcome = await run(send(feed))
    assert outcome.assert_done().text == "Hel😀 ok"
    for text in (*outcome.texts, *(piece.text for piece in outcome.payloads("chunk"))):
        text.encode()  # raises for half a pair
    assert "".join(piece.text for piece in outcome.payloads("chunk")) == "Hel😀 ok"


async def test_row_48_a_surrogate_that_stays_alone(send: Sender) -> None:
    feed = sse(HEL, b'data: {"choices":[{"index":0,"delta":{"content":"\\ud83d"}}]}\n\n', STOP)
    outcome = await run(send(feed))
    assert outcome.assert_done().text == "Hel\ufffd"


async def test_row_49_what_else_a_chunk_may_carry(send: Sender) -> None:
    token = {"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []}
    first = choices(
        {
            "index": 0,
            "delta": {"content": "Hel", "annotations": [{"type": "url_citation"}], "audio": {"id": "a"}},
            "logprobs": {"content": [token], "refusal": None},
        },
        service_tier="default",
        obfuscation="xyz",
        x_groq={"id": "req_1"},
        timings={"prompt_n": 3},
        citations=["https://example.org"],
    )
    second = choices({"index": 0, "delta": {"refusal": "no"}, "logprobs": {"content": None, "refusal": [token]}})
    outcome = await run(send(sse(first, second, STOP)))
    completion = outcome.assert_done()
    assert (completion.text, completion.refusal) == ("Hel", "no")
    assert outcome.payloads("refusal") == ["no"]
    assert completion.choices[0].logprobs == {"content": [token], "refusal": [token]}
    extra = outcome.payloads("chunk")[0].extra
    assert (extra["service_tier"], extra["obfuscation"], extra["timings"]) == ("default", "xyz", {"prompt_n": 3})
    assert (extra["x_groq"], extra["citations"]) == ({"id": "req_1"}, ["https://example.org"])
    assert extra["choices"][0]["delta"] == {"annotations": [{"type": "url_citation"}], "audio": {"id": "a"}}


# --- usage ------------------------------------------------------------------------------------------------------------

COUNTS = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}


async def test_row_50_usage_in_a_last_chunk_without_choices(send: Sender) -> None:
    details = {"completion_tokens_details": {"reasoning_tokens": 4}}
    outcome = await run(send(sse(HEL, STOP, chunk(usage={**COUNTS, **details}))))
    assert outcome.assert_done().usage == Usage(5, 7, 12, details)
    assert outcome.payloads("usage") == [outcome.completion.usage]


@pytest.mark.parametrize(
    "payloads",
    [
        [HEL, {**STOP, "usage": COUNTS}],
        [
            {**HEL, "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
            {**LO, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
            {**STOP, "usage": COUNTS},
        ],
        [HEL, choices({"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNTS})],
        [HEL, {**STOP, "x_groq": {"id": "req_1", "usage": COUNTS}}],
        [HEL, {**STOP, "usage": COUNTS}, {**chunk(""), "usage": None}],
        [HEL, {**STOP, "usage": None}, chunk(usage=COUNTS), chunk("!")],
        [{**HEL, "usage": COUNTS}, STOP],
    ],
    ids=[
        "on the finish",
        "cumulative",
        "in the choice",
        "x_groq",
        "null after",
        "one more chunk",
        "on the first chunk",
    ],
)
async def test_row_51_usage_wherever_it_stands(send: Sender, payloads: Sequence[dict[str, object]]) -> None:
    outcome = await run(send(sse(*payloads)))
    assert outcome.assert_done().usage == Usage(5, 7, 12)
    assert outcome.payloads("usage")[-1] == Usage(5, 7, 12)


@pytest.mark.parametrize("usage", [None, {}, {"prompt_tokens": None, "completion_tokens": None, "total_tokens": None}])
async def test_row_51_no_usage_is_none(send: Sender, usage: object) -> None:
    outcome = await run(send(sse(HEL, {**STOP, "usage": usage})))
    assert outcome.assert_done().usage is None
    assert outcome.payloads("usage") == []


async def test_row_52_stream_options_refused() -> None:
    refusal = answer(400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}})
    async with completion_server(refusal, HELLO) as server, StreamDriver(server.base_url, retries=0) as driver:
        stream = driver.stream("hi", model="m")
        names: list[str] = []
        stream.on("*", lambda event: names.append(event.name))
        completion = await stream
    assert completion.text == "Hello"
    assert (names.count("warning"), names.count("retry"), names.count("connect")) == (1, 0, 1)
    asked, again = (request.json for request in server.requests)
    assert asked.pop("stream_options") == {"include_usage": True}
    assert asked == again


# --- tool calls -------------------------------------------------------------------------------------------------------


def named(outcome: Outcome) -> list[tuple[str, str, str]]:
    return [(call.id, call.name, call.arguments) for call in outcome.assert_done().tool_calls]


@pytest.mark.parametrize(
    "indexes", [(None, None), (1, 2), (0, 5), (3, 0)], ids=["missing", "from 1", "a gap", "backwards"]
)
async def test_row_53_odd_indexes(send: Sender, indexes: tuple[int | None, int | None]) -> None:
    first, second = indexes
    feed = sse(
        calls(tool(first, "call_a", "add", "")),
        calls(tool(first, arguments='{"a":')),
        calls(tool(first, arguments="1}")),
        calls(tool(second, "call_b", "sub", "")),
        calls(tool(second, arguments='{"b":2}')),
        CALLED,
    )
    outcome = await run(send(feed))
    assert named(outcome) == [("call_a", "add", '{"a":1}'), ("call_b", "sub", '{"b":2}')]
    fragments = outcome.payloads("tool_delta")
    assert [(part.position, part.arguments) for part in fragments] == [
        (0, ""),
        (0, '{"a":'),
        (0, "1}"),
        (1, ""),
        (1, '{"b":2}'),
    ]


async def test_row_54_parallel_calls_under_one_index(send: Sender) -> None:
    feed = sse(calls(tool(0, "call_a", "add", "{}")), calls(tool(0, "call_b", "add", "{}")), CALLED)
    assert named(await run(send(feed))) == [("call_a", "add", "{}"), ("call_b", "add", "{}")]


async def test_row_54_interleaved_by_id(send: Sender) -> None:
    feed = sse(
        calls(tool(0, "call_a", "add", "{"), tool(0, "call_b", "sub", "{")),
        calls(tool(0, "call_a", arguments="}"), tool(0, "call_b", arguments="}")),
        CALLED,
    )
    assert named(await run(send(feed))) == [("call_a", "add", "{}"), ("call_b", "sub", "{}")]


@pytest.mark.parametrize(
    "fragments",
    [
        [tool(0, "call_a", "add", '{"a"'), tool(0, "call_a", "add", ":1"), tool(0, "call_a", "add", "}")],
        [tool(0, "call_a"), tool(0, name="add"), tool(0, arguments='{"a":1}')],
        [tool(0, "call_a", "a", ""), tool(0, name="dd", arguments=""), tool(0, arguments='{"a":1}')],
        [tool(0, "call_a", "add", ""), tool(0, "", "", '{"a":1}')],
        [tool(0, "", "add", ""), tool(0, "call_a", arguments='{"a":1}')],
    ],
    ids=["repeated", "late name", "split name", "empty id and name", "late id"],
)
async def test_row_55_ids_and_names(send: Sender, fragments: list[dict[str, object]]) -> None:
    outcome = await run(send(sse(*(calls(fragment) for fragment in fragments), CALLED)))
    assert named(outcome) == [("call_a", "add", '{"a":1}')]


@pytest.mark.parametrize("call_id", [None, ""])
async def test_row_55_an_id_is_made_up_where_none_ever_came(send: Sender, call_id: str | None) -> None:
    outcome = await run(send(sse(calls(tool(0, call_id, "add", "{}")), calls(tool(1, call_id, "sub", "{}")), CALLED)))
    [(one, *_), (two, *_)] = named(outcome)
    assert one
    assert two
    assert one != two


async def test_row_56_arguments_as_an_object_or_null(send: Sender) -> None:
    null = choices(
        {
            "index": 0,
            "delta": {"tool_calls": [{"index": 0, "id": "call_a", "function": {"name": "add", "arguments": None}}]},
        }
    )
    outcome = await run(send(sse(null, calls(tool(0, arguments={"a": 1, "b": "é"})), CALLED)))
    [call] = outcome.assert_done().tool_calls
    assert (call.name, call.parsed) == ("add", {"a": 1, "b": "é"})


@pytest.mark.parametrize("finish_reason", [None, "tool_calls"])
async def test_row_57_a_whole_call_in_one_chunk(send: Sender, finish_reason: str | None) -> None:
    payloads = [calls(tool(0, "call_a", "add", '{"a":1}', type="function"), finish_reason=finish_reason)]
    if finish_reason is None:
        payloads.append(CALLED)
    outcome = await run(send(sse(*payloads)))
    assert named(outcome) == [("call_a", "add", '{"a":1}')]
    assert outcome.names.index("tool_delta") < outcome.names.index("tool_call")


async def test_row_58_finish_on_the_last_arguments(send: Sender) -> None:
    feed = sse(calls(tool(0, "call_a", "add", '{"a":')), calls(tool(0, arguments="1}"), finish_reason="tool_calls"))
    outcome = await run(send(feed))
    assert named(outcome) == [("call_a", "add", '{"a":1}')]
    last_delta = max(place for place, name in enumerate(outcome.names) if name == "tool_delta")
    assert outcome.names.index("tool_call") > last_delta


@pytest.mark.parametrize("finish", [[STOP], []], ids=["stop", "none"])
async def test_row_59_calls_with_another_finish_reason(send: Sender, finish: list[dict[str, object]]) -> None:
    outcome = await run(send(sse(calls(tool(0, "call_a", "add", "{}")), *finish)))
    assert named(outcome) == [("call_a", "add", "{}")]


async def test_row_60_two_objects_under_one_index(send: Sender) -> None:
    outcome = await run(
        send(sse(calls(tool(0, "call_a", "add", '{"a":1}')), calls(tool(0, arguments='{"a":2}')), CALLED))
    )
    assert [(name, arguments) for _, name, arguments in named(outcome)] == [("add", '{"a":1}'), ("add", '{"a":2}')]
    assert len(outcome.warned) == 1


async def test_row_61_extra_content_is_kept(send: Sender) -> None:
    signature = {"google": {"thought_signature": "abc"}}
    feed = sse(calls(tool(0, "call_a", "add", "{}")), calls(tool(0, extra_content=signature)), CALLED)
    outcome = await run(send(feed))
    [call] = outcome.assert_done().tool_calls
    assert call.extra["extra_content"] == signature
    assert call.arguments == "{}"


@pytest.mark.parametrize("pieces", [["{}", ' "a"'], ["1", "23"], ['{"a":1}', " "], ["[", "]"]])
async def test_row_62_arguments_that_parse_too_early(send: Sender, pieces: list[str]) -> None:
    outcome = await run(
        send(sse(calls(tool(0, "call_a", "add", "")), *(calls(tool(0, arguments=piece)) for piece in pieces), CALLED))
    )
    assert named(outcome) == [("call_a", "add", "".join(pieces))]


async def test_row_63_legacy_function_call(send: Sender) -> None:
    feed = sse(
        delta(role="assistant", content=None, function_call={"name": "add", "arguments": ""}),
        delta(function_call={"arguments": '{"a":'}),
        delta(function_call={"arguments": "1}"}),
        chunk(finish_reason="function_call"),
    )
    outcome = await run(send(feed))
    [(made_up, name, arguments)] = named(outcome)
    assert made_up
    assert (name, arguments) == ("add", '{"a":1}')


# --- time -------------------------------------------------------------------------------------------------------------


async def test_row_64_no_headers_ever() -> None:
    outcome = await run([Hang()], timeout=Timeout(first=0.05))
    assert outcome.assert_failed(StreamTimeout).phase == "first"


async def test_row_65_keep_alives_are_no_content() -> None:
    alive = [
        step
        for _ in range(1_000)
        for step in (Send(b": ping\n\n"), Send(sse(delta(role="assistant"), done=False)), Wait(0.01))
    ]
    outcome = await run([*alive, Hang()], timeout=Timeout(first=0.2))
    assert outcome.assert_failed(StreamTimeout).phase == "first"
    assert outcome.payloads("heartbeat")


async def test_row_66_a_stall_and_then_the_limit(send: Sender) -> None:
    outcome = await run([*send(sse(HEL, LO, done=False)), Hang()], timeout=Timeout(idle=0.2))
    assert outcome.assert_failed(StreamTimeout, "Hello").phase == "idle"
    [stall] = outcome.payloads("stall")
    assert stall.limit == 0.2
    assert stall.seconds >= 0.1
    assert outcome.names.index("stall") < outcome.names.index("error")


async def test_row_68_other_tasks_run_during_a_burst() -> None:
    feed = sse(*50_000 * [LO], STOP)
    turns, longest = 0, 0.0

    async def other() -> None:
        nonlocal turns, longest
        while True:
            began = time.thread_time()  # of this process alone: what else the machine does is no fault of the loop
            await asyncio.sleep(0)
            turns += 1
            longest = max(longest, time.thread_time() - began)

    async with completion_server(feed) as server, StreamDriver(server.base_url) as driver:
        asyncio.get_running_loop().set_debug(False)
        stream = driver.stream("hi", model="m")
        began = await stream.wait_for("connect")
        assert began.status == 200
        task = asyncio.create_task(other())
        completion = await stream
        task.cancel()
        await asyncio.wait([task])
    assert len(completion.text) == 100_000
    assert turns > 10
    assert longest < 0.05


# --- the transport ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"\r\n\r\n"])
async def test_row_69_a_malformed_chunk_size(send: Sender, size: bytes) -> None:
    # The head goes ahead: where it comes with the bad size in one packet, aiohttp fails the request and nothing can be read.
    script = [Headers(), Wait(0.1), *send(sse(HEL, LO, done=False)), Raw(size + b"data: x\n\n\r\n"), Hang()]
    async with asyncio.timeout(10):
        outcome = await run(script, timeout=Timeout(first=1, idle=1))
    assert isinstance(outcome.error, ProtocolError | StreamTimeout | ConnectionLost)
    assert outcome.completion.text == "Hello"


async def test_row_70_reset_of_a_close_delimited_body(send: Sender) -> None:
    outcome = await run([Headers(framing="close"), *send(sse(HEL, LO, done=False)), Reset()])
    assert isinstance(outcome.error, TruncatedStream | ConnectionLost)
    assert outcome.completion.text == "Hello"


async def test_row_70_a_truncated_gzip_body(send: Sender) -> None:
    packer = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
    body = packer.compress(sse(HEL, LO, done=False)) + packer.flush(zlib.Z_SYNC_FLUSH)
    outcome = await run([Headers(headers={"content-encoding": "gzip"}), *send(body), End()])
    assert isinstance(outcome.error, TruncatedStream | ConnectionLost)
    assert outcome.completion.text == "Hello"


async def test_row_71_a_kept_alive_connection_that_was_closed() -> None:
    async with completion_server(HELLO, [Cut()], HELLO) as server, StreamDriver(server.base_url, retries=0) as driver:
        await driver.stream("hi", model="m")
        stream = driver.stream("hi", model="m")
        names: list[str] = []
        stream.on("*", lambda event: names.append(event.name))
        assert (await stream).text == "Hello"
    assert len(server.requests) == 3
    assert "retry" not in names
    assert names.count("connect") == 1


async def test_row_71_a_new_connection_that_was_closed_is_a_failed_attempt() -> None:
    """Only where the connection was kept alive can the server have closed it before it knew of the request."""
    async with completion_server([Cut()]) as server, StreamDriver(server.base_url, retries=0) as driver:
        with pytest.raises(ConnectionLost) as caught:
            await driver.stream("hi", model="m")
        assert caught.value.retryable
        assert len(server.requests) == 1


@pytest.mark.parametrize("ending", [Cut(), Reset()])
async def test_row_72_what_lies_unread_before_a_cut(ending: Step) -> None:
    """The listener is stuck, its mailbox full, the connection cut meanwhile: everything that had arrived is delivered."""
    texts = [f"{number} " for number in range(3_000)]
    feed = sse(*map(chunk, texts), done=False)
    heard: list[str] = []
    async with (
        completion_server([Send(feed), Wait(0.01), ending]) as server,
        StreamDriver(server.base_url, retries=0) as driver,
    ):
        stream = driver.stream("hi", model="m")
        cut = asyncio.Event()

        @stream.on("text")
        async def slow(text: str) -> None:
            heard.append(text)
            await cut.wait()

        stream.start()
        while not heard or server._connections:
            await asyncio.sleep(0)
        for _ in range(20):  # the server's end is gone; the client's hears of it in its next turns
            await asyncio.sleep(0)
        cut.set()
        with pytest.raises(ConnectionLost) as caught:
            await stream
    assert caught.value.completion.text == "".join(texts)
    assert heard == texts


@pytest.mark.parametrize(
    "line",
    [b"retry: " + b"9" * 5_000, b"retry: +500", b"retry: 1_0", "retry: ٣".encode(), b"id: a\0b", b"retry:", b"id"],
)
async def test_row_74_odd_retry_and_id_fields(send: Sender, line: bytes) -> None:
    outcome = await run(send(sse(HEL, line + b"\n\n", line + b"\n", LO, STOP)))
    assert outcome.assert_done().text == "Hello"
    assert outcome.warned == []
