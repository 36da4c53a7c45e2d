"""Rows 15 to 28: framing."""

from __future__ import annotations

import gzip
import zlib

from streamkit import ProtocolError
from streamkit.testing import Cut, Headers, Raw, Send, Step, Wait, chunk, sse

from .case import HEL, HELLO, LO, STOP, Case, Row, case, done, failed

__all__ = ["ROWS"]

CRLF, CR, LF = b"\r\n", b"\r", b"\n"
EVENTS = [sse(payload, done=False) for payload in (HEL, LO, STOP)]


def between(event: bytes | str) -> bytes:
    """The feed of "Hello" with something else after its first chunk."""
    return sse(HEL, event, LO, STOP)


def malformed(name: str, event: bytes | str) -> Case:
    return case(name, between(event), done(quirks={"malformed_chunk": 1}, events={"warning": 1}))


def coded(coding: str, body: bytes) -> tuple[Step, ...]:
    return Headers(headers={"content-encoding": coding}), Send(body)


def raw_deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(body) + packer.flush()


def typed(content_type: str) -> Case:
    script = Headers(headers={"content-type": content_type}), Send(HELLO)
    return case(content_type or "empty content type", script, done())


def in_pieces(body: bytes, *places: int) -> tuple[Step, ...]:
    """The body in several writes, cut at the places, which the reader gets one by one."""
    steps: list[Step] = []
    for start, end in zip((0, *places), (*places, len(body)), strict=True):
        steps += [Send(body[start:end]), Wait(0.02)]
    return tuple(steps)


SMILE = sse(chunk("é€😀", role="assistant"), LO, STOP)
SMILE_CRLF = SMILE.replace(LF, CRLF)
LINE = "a\u2028b\u2029c\u0085d"
LONG = "x" * 20_000_000

ROWS = (
    Row(
        "15",
        "comments: `: OPENROUTER PROCESSING`, `: keep-alive`, `: ping`",
        "`heartbeat`, no chunk",
        (
            case(
                "between the chunks",
                sse(b": OPENROUTER PROCESSING\n\n", HEL, b": keep-alive\n\n", LO, b": ping\n\n", STOP),
                done(events={"heartbeat": 3, "chunk": 3, "warning": 0}),
            ),
        ),
    ),
    Row(
        "16",
        "`id:` lines and keep-alive comments; blocks of `retry:` or `id:` alone",
        "no phantom event",
        (
            case(
                "sticky ids",
                sse(b"id: 1\n", HEL, b": keep-alive\n\n", b"id: 2\n\n", b"retry: 3000\n\n", LO, STOP),
                done(events={"chunk": 3, "warning": 0}),
            ),
        ),
    ),
    Row(
        "17",
        "empty `data:`; `event: ping` without data",
        "no chunk",
        (
            case("empty data", between(b"data:\n\n"), done(events={"chunk": 3, "warning": 0})),
            case("a ping", between(b"event: ping\n\n"), done(events={"chunk": 3, "warning": 0})),
            case("data without a colon", between(b"data\n\n"), done(events={"chunk": 3, "warning": 0})),
        ),
    ),
    Row(
        "18",
        "`data:` without a space; CRLF, CR, a mix; `[DONE]` without a final newline",
        "as usual",
        (
            case("no space", HELLO.replace(b"data: ", b"data:"), done(events={"chunk": 3})),
            case("CRLF", HELLO.replace(LF, CRLF), done(events={"chunk": 3})),
            case("CR", HELLO.replace(LF, CR), done(events={"chunk": 3})),
            case(
                "a mix",
                EVENTS[0].replace(LF, CRLF) + EVENTS[1].replace(LF, CR) + EVENTS[2] + b"data: [DONE]\n\n",
                done(events={"chunk": 3}),
            ),
            case("[DONE] bare", HELLO.removesuffix(b"\n\n"), done(events={"chunk": 3})),
        ),
    ),
    Row(
        "19",
        "last event without its blank line",
        "delivered",
        (
            case("a chunk", sse(HEL, chunk("lo", finish_reason="stop"), done=False).rstrip(), done()),
            case("one newline", sse(HEL, chunk("lo", finish_reason="stop"), done=False)[:-1], done()),
        ),
    ),
    Row(
        "20",
        "UTF-8 BOM first",
        "first event kept",
        (case("BOM", b"\xef\xbb\xbf" + HELLO, done(events={"chunk": 3, "warning": 0})),),
    ),
    Row(
        "21",
        "a character, or CR and LF, split over reads; one byte a read",
        "the same events",
        (
            case(
                "inside a character",
                in_pieces(SMILE, SMILE.index("😀".encode()) + 2),
                done("é€😀lo", events={"chunk": 3, "warning": 0}),
                split=False,
            ),
            case(
                "between CR and LF",
                in_pieces(SMILE_CRLF, *(SMILE_CRLF.index(CRLF + CRLF) + step for step in (1, 3))),
                done("é€😀lo", events={"chunk": 3, "warning": 0}),
                split=False,
            ),
            case("one byte a write", (*in_pieces(HELLO[:60], *range(1, 60)), Send(HELLO[60:])), done(), split=False),
        ),
    ),
    Row(
        "22",
        "U+2028, U+2029, U+0085, VT, FF inside data",
        "data, never a line end",
        (
            case("separators", sse(chunk(LINE, role="assistant"), STOP), done(LINE, events={"warning": 0})),
            case(
                "VT and FF",
                # Bare control characters are no JSON: one event, which is skipped, and not several.
                between(b'data: {"choices":[],"x":"\x0b\x0c\x1c"}\n\n'),
                done(quirks={"malformed_chunk": 1}, events={"warning": 1}),
            ),
        ),
    ),
    Row(
        "23",
        "one line of 20 MB; one past `max_event_bytes`",
        "delivered; ProtocolError",
        (
            case(
                "20 MB",
                tuple(
                    Send(body[start : start + 2**18])
                    for body in [sse(chunk(LONG, role="assistant"), STOP)]
                    for start in range(0, len(body), 2**18)
                ),
                done(LONG),
                split=False,
            ),
            case(
                "past the limit",
                sse(HEL, chunk("x" * 1_000), STOP),
                failed(ProtocolError, text="Hel", message="max_event_bytes"),
                needs=("max_event_bytes",),
                options={"max_event_bytes": 500},
            ),
        ),
    ),
    Row(
        "24",
        "invalid UTF-8",
        "replaced by U+FFFD, warning",
        (
            case(
                "one byte",
                sse(chunk("a?b", role="assistant"), STOP).replace(b"a?b", b"a\xffb"),
                done("a\ufffdb", quirks={"invalid_utf8": 1}),
            ),
        ),
    ),
    Row(
        "25",
        "`data: data: {…}`; `data: : X`; `data: error: text`",
        "skipped, warning",
        (
            malformed("data: data:", b'data: data: {"choices":[]}\n\n'),
            malformed("data: :", b"data: : keep-alive\n\n"),
            malformed("data: error:", b"data: error: text\n\n"),
        ),
    ),
    Row(
        "26",
        "gzip, deflate; odd content types with SSE inside",
        "read as usual",
        (
            case("gzip", coded("gzip", gzip.compress(HELLO, mtime=0)), done()),
            case("deflate", coded("deflate", zlib.compress(HELLO)), done()),
            case("raw deflate", coded("deflate", raw_deflated(HELLO)), done()),
            typed("text/plain"),
            typed(""),
            typed("application/octet-stream"),
            case("no content type", (Raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + HELLO), Cut()), done()),
        ),
    ),
    Row(
        "27",
        "a malformed JSON chunk",
        "skipped, warning; past `max_malformed`: ProtocolError",
        (
            malformed("one", '{"choices":[{"ind' + 500 * "x"),
            case(
                "twenty",
                sse(HEL, *20 * ["{"], LO, STOP),
                done(quirks={"malformed_chunk": 20}, events={"warning": 20}),
            ),
            case(
                "twenty-one",
                sse(HEL, *21 * ["{"], LO, STOP),
                failed(ProtocolError, text="Hel", quirks={"malformed_chunk": 21}, message="malformed"),
                needs=("max_malformed",),
            ),
            case(
                "none allowed",
                sse(HEL, "{", LO, STOP),
                failed(ProtocolError, text="Hel", quirks={"malformed_chunk": 1}, message="malformed"),
                needs=("max_malformed",),
                options={"max_malformed": 0},
            ),
        ),
    ),
    Row(
        "28",
        "JSON `null`, a number, a list, `{}` where a chunk should be",
        "skipped, warning; `{}`: an empty chunk",
        (
            malformed("null", "null"),
            malformed("a number", "7"),
            malformed("a text", '"text"'),
            malformed("a list", '[{"choices":[]}]'),
            case("an empty object", between("{}"), done(quirks={"choices_missing": 1}, events={"chunk": 4})),
        ),
    ),
)
