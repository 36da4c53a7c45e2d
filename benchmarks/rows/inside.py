"""Rows 29 to 36: errors inside the stream."""

from __future__ import annotations

from streamkit import ServerError
from streamkit.testing import chunk, sse

from .case import ERROR, HEL, LO, STOP, Case, Row, case, failed

__all__ = ["ROWS"]


def code(value: object, status: int | None, retryable: bool) -> Case:
    details = {"status": status, "retryable": retryable, "code": str(value)}
    said = sse(HEL, {"error": {"message": "slow down", "code": value}})
    return case(f"{value!r}", said, failed(ServerError, text="Hel", message="slow down", details=details))


ROWS = (
    Row(
        "29",
        '`data: {"error": {message, code, type}}`',
        "ServerError, all three kept",
        (
            case(
                "object",
                sse(HEL, ERROR, LO),
                failed(
                    ServerError,
                    text="Hel",
                    message="the model is gone",
                    details={"code": "model_gone", "type": "server_error"},
                ),
            ),
        ),
    ),
    Row(
        "30",
        '`data: {"error": "text"}`',
        "ServerError, message kept",
        (case("text", sse(HEL, {"error": "overloaded"}), failed(ServerError, text="Hel", message="overloaded")),),
    ),
    Row(
        "31",
        '`event: error` with a flat `{"message", "code"}`',
        "ServerError",
        (
            case(
                "flat",
                sse(HEL, b'event: error\ndata: {"message": "boom", "code": 503}\n\n', LO),
                failed(ServerError, text="Hel", message="boom", details={"code": "503", "status": 503}),
            ),
        ),
    ),
    Row(
        "32",
        'flat `{"object": "error", "message"}`',
        "ServerError",
        (
            case(
                "flat",
                sse(HEL, {"object": "error", "message": "boom", "code": 40303, "type": "X"}, LO),
                failed(ServerError, text="Hel", message="boom", details={"code": "40303", "type": "X"}),
            ),
        ),
    ),
    Row(
        "33",
        "`error: {json}` as an SSE field, then `[DONE]`",
        "ServerError, all text before it delivered",
        (
            case(
                "field",
                sse(HEL, LO, b'error: {"code":500,"message":"boom","type":"server_error"}\n\n'),
                failed(ServerError, text="Hello", message="boom", details={"code": "500", "status": 500}),
            ),
        ),
    ),
    Row(
        "34",
        "error object beside valid choices",
        "text delivered, then ServerError",
        (
            case(
                "beside",
                sse(
                    HEL,
                    {**chunk("lo", finish_reason="error"), "error": {"code": 502, "message": "Upstream error"}},
                ),
                failed(ServerError, text="Hello", message="Upstream error", details={"status": 502}),
            ),
        ),
    ),
    Row(
        "35",
        'status in `error.code` (429, 500, `"429"`)',
        "drives `retryable`",
        (
            code(429, 429, retryable=True),
            code(500, 500, retryable=True),
            code("429", 429, retryable=True),
            code(400, 400, retryable=False),
            code("x", None, retryable=False),
        ),
    ),
    Row(
        "36",
        "an error after the finish_reason",
        "ServerError, complete text kept",
        (
            case(
                "after",
                sse(HEL, LO, STOP, ERROR),
                failed(ServerError, text="Hello", finish_reason="stop", message="the model is gone"),
            ),
        ),
    ),
)
