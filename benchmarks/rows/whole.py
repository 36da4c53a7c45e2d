"""Rows 1 to 14: the outcome of the whole stream."""

from __future__ import annotations

import json

from streamkit import (
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    TruncatedStream,
)
from streamkit.testing import Cut, End, Hang, Headers, Reset, Send, Step, answer, chunk, sse

from .case import ERROR, HEL, HELLO, LO, STOP, Case, Row, case, done, failed

__all__ = ["ROWS"]

UNFINISHED = sse(HEL, LO, done=False)
FINISHED = sse(HEL, LO, STOP, done=False)
CUT = Send(UNFINISHED), Cut()

COMPLETION = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "m1",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "Hello"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
}


def typed(content_type: str, body: bytes) -> tuple[Step, ...]:
    return Headers(headers={"content-type": content_type}), Send(body), End()


def status(number: int, content_type: str, body: bytes, message: str, retryable: bool, code: str | None = None) -> Case:
    headers = {"content-type": content_type, "x-request-id": "req_7", "retry-after": "3"}
    details = {"status": number, "code": code, "request_id": "req_7", "retry_after": 3.0, "retryable": retryable}
    expected = failed(StatusError, message=message, details=details, events={"connect": 0})
    return case(f"{number} {content_type}", answer(number, body, headers), expected)


ROWS = (
    Row(
        "1",
        "EOF, neither a finish_reason nor `[DONE]`",
        "TruncatedStream; or `done`, by policy",
        (
            case("error", UNFINISHED, failed(TruncatedStream, text="Hello")),
            case(
                "accepted",
                UNFINISHED,
                done(finish_reason=None, quirks={"truncated": 1}),
                needs=("on_truncation",),
                options={"on_truncation": "accept"},
            ),
        ),
    ),
    Row(
        "2",
        "`[DONE]` without any finish_reason",
        "`done`, `finish_reason` None, warning",
        (case("done", sse(HEL, LO), done(finish_reason=None, quirks={"done_without_finish": 1})),),
    ),
    Row(
        "3",
        "finish_reason for every choice, no `[DONE]`",
        "`done`; if a choice has none, TruncatedStream",
        (
            case("every choice", FINISHED, done()),
            case(
                "one of two",
                sse(HEL, chunk("other", index=1), STOP, done=False),
                failed(TruncatedStream, text="Hel", choices={0: ("Hel", "stop"), 1: ("other", None)}),
            ),
        ),
    ),
    Row(
        "3b",
        "every choice finished, then a cut",
        "`done`, warning",
        (
            case("before [DONE]", (Send(FINISHED), Cut()), done(quirks={"cut_after_finish": 1})),
            case(
                "in the usage",
                (Send(FINISHED + sse(chunk(usage={"total_tokens": 3}))[:20]), Cut()),
                done(quirks={"cut_after_finish": 1}),
            ),
        ),
    ),
    Row(
        "4",
        "empty body, only comments, or only `[DONE]`",
        "EmptyStream",
        tuple(
            case(name, (Send(body), End()), failed(EmptyStream))
            for name, body in (
                ("empty", b""),
                ("comments", b": ping\n\n: ping\n\n"),
                ("[DONE]", b"data: [DONE]\n\n"),
                ("blank lines", b"\n\n"),
                ("empty data", b"data:\n\n"),
            )
        ),
    ),
    Row(
        "5",
        "TCP cut inside a chunked body",
        "ConnectionLost, text kept",
        (
            case("closed", CUT, failed(ConnectionLost, text="Hello", details={"retryable": True})),
            case("inside an event", (Send(UNFINISHED[:-20]), Cut()), failed(ConnectionLost, text="Hel")),
            case("reset", (Send(UNFINISHED), Reset()), failed(ConnectionLost, text="Hello")),
        ),
    ),
    Row(
        "6",
        "cut of a close-delimited body: looks like a clean EOF",
        "TruncatedStream",
        (
            case("between events", (Headers(framing="close"), *CUT), failed(TruncatedStream, text="Hello")),
            case(
                "inside an event",
                (Headers(framing="close"), Send(UNFINISHED[:-20]), Cut()),
                # Half an event is no event: what is lost is what never came whole.
                failed(TruncatedStream, text="Hel", quirks={"malformed_chunk": 1}),
            ),
        ),
    ),
    Row(
        "7",
        "`[DONE]` seen, the socket stays open",
        "`done` at once",
        (case("silent", (Send(HELLO), Hang()), done()),),
    ),
    Row(
        "7b",
        "every choice finished, no `[DONE]`, the socket silent",
        "`done`, warning, after `Timeout.after_finish`",
        (
            case(
                "silent",
                (Send(FINISHED), Hang()),
                done(quirks={"silent_after_finish": 1}),
                options={"timeout": {"after_finish": 0.2}},
            ),
        ),
    ),
    Row(
        "8",
        "200 with `application/json` and an error object",
        "ServerError with its message, code and type",
        (
            case(
                "error object",
                typed("application/json", json.dumps(ERROR).encode()),
                failed(
                    ServerError, message="the model is gone", details={"code": "model_gone", "type": "server_error"}
                ),
            ),
        ),
    ),
    Row(
        "9",
        "200 with `application/json` and a whole completion",
        "a stream of one chunk, warning",
        (
            case(
                "completion",
                typed("application/json", json.dumps(COMPLETION).encode()),
                done(usage=(1, 2, 3), quirks={"json_body": 1, "message_for_delta": 1}, events={"chunk": 1}),
            ),
        ),
    ),
    Row(
        "10",
        "200 with an HTML page, or text that is no SSE",
        "ProtocolError, short excerpt",
        tuple(
            case(name, typed(content_type, body), failed(ProtocolError, message=message))
            for name, content_type, body, message in (
                ("HTML", "text/html", b"<html><title>Sign in</title>" + 50 * b"<p>please</p>", "Sign in"),
                ("text", "text/plain", b"upstream connect error", "upstream connect error"),
                ("a list", "application/json", b"[1, 2]", "[1, 2]"),
                ("torn JSON", "application/json", b'{"detail', "detail"),
            )
        ),
    ),
    Row(
        "11",
        "4xx, 5xx with a JSON, text or HTML body",
        "StatusError: status, code, message, request id, `retry_after`",
        (
            status(
                401,
                "application/json",
                b'{"error":{"message":"no such key","code":"bad_key"}}',
                "no such key",
                retryable=False,
                code="bad_key",
            ),
            status(400, "application/json", b'{"detail":"no such field"}', "no such field", retryable=False),
            status(
                422,
                "application/json",
                b'{"detail":[{"loc":["body","n"],"msg":"too many"}]}',
                "too many",
                retryable=False,
            ),
            status(500, "text/plain", b"Internal Server Error", "Internal Server Error", retryable=True),
            status(
                502,
                "text/html",
                b"<html><head><title>502 Bad Gateway</title></html>",
                "502 Bad Gateway",
                retryable=True,
            ),
            status(503, "application/json", b"", "503", retryable=True),
        ),
    ),
    Row(
        "12",
        "`length`, `content_filter` on plain text",
        "`done` with that finish_reason",
        tuple(
            case(reason, sse(HEL, chunk(finish_reason=reason)), done("Hel", reason))
            for reason in ("length", "content_filter")
        ),
    ),
    Row(
        "13",
        'finish_reason `"error"`, no error object',
        "ServerError",
        (case("error", sse(HEL, chunk(finish_reason="error")), failed(ServerError, text="Hel")),),
    ),
    Row(
        "14",
        "unknown finish_reason",
        "`done`, raw value kept",
        tuple(
            case(reason, sse(HEL, chunk(finish_reason=reason)), done("Hel", reason))
            for reason in ("eos", "abort", "sensitive", "network_error", "insufficient_system_resource")
        ),
    ),
)
