"""Rows 64 to 74: time, and the transport."""

from __future__ import annotations

import zlib

from streamkit import ConnectionLost, ProtocolError, StreamTimeout, TruncatedStream
from streamkit.testing import Cut, End, Hang, Headers, Raw, Reset, Send, Step, Wait, chunk, sse

from .case import CUT_TIMEOUT, HEL, HELLO, LO, STOP, Case, Row, case, delta, done, failed

__all__ = ["ROWS"]

UNFINISHED = sse(HEL, LO, done=False)
MANY = [f"{number} " for number in range(3_000)]
FLUSHED = zlib.compressobj(wbits=16 + zlib.MAX_WBITS)
TORN_GZIP = FLUSHED.compress(UNFINISHED) + FLUSHED.flush(zlib.Z_SYNC_FLUSH)


def timed_out(name: str, said: tuple[Step, ...], phase: str, text: str = "", **events: int) -> Case:
    """A case in which a limit runs out: the same limit for every system."""
    expected = failed(StreamTimeout, text=text, details={"phase": phase}, events=events)
    options = {"timeout": {phase: CUT_TIMEOUT}}
    return case(name, said, expected, options=options, timeout=CUT_TIMEOUT, split=False)


def alive(data: bytes) -> tuple[Step, ...]:
    return tuple(step for _ in range(100) for step in (Send(data), Wait(0.05)))


def field(name: str, line: bytes) -> Case:
    feed = sse(HEL, line + b"\n\n", line + b"\n", LO, STOP)
    return case(name, feed, done(events={"warning": 0, "chunk": 3}))


def moved(status: int) -> tuple[Step, ...]:
    return Headers(status, {"location": "moved", "content-length": "0"}), End()


TIME = (
    Row(
        "64",
        "no headers for ever",
        'StreamTimeout, phase "first"',
        (timed_out("silence", (Hang(),), "first"),),
    ),
    Row(
        "65",
        "headers, then only comments and empty deltas",
        'StreamTimeout, phase "first"',
        (
            timed_out("comments", alive(b": ping\n\n"), "first"),
            timed_out("empty deltas", alive(sse(delta(role="assistant", content=""), done=False)), "first"),
        ),
    ),
    Row(
        "66",
        "a stall in the middle",
        '`stall`, then StreamTimeout, phase "idle", text kept',
        (
            timed_out("silence", (Send(UNFINISHED), Hang()), "idle", "Hello", stall=1),
            timed_out("keep-alives", (Send(UNFINISHED), *alive(b": ping\n\n")), "idle", "Hello", stall=1),
        ),
    ),
    Row(
        "67",
        "slow but alive, longer than any limit on silence",
        "no total limit",
        (
            case(
                "three limits long",
                (
                    Send(sse(HEL, done=False)),
                    *(s for _ in range(15) for s in (Wait(0.1), Send(sse(LO, done=False)))),
                    Send(sse(STOP)),
                ),
                done("Hel" + 15 * "lo"),
                options={"timeout": {"first": CUT_TIMEOUT, "idle": CUT_TIMEOUT}},
                timeout=CUT_TIMEOUT,
                split=False,
            ),
        ),
    ),
    Row(
        "68",
        "a burst of 50,000 chunks",
        "the loop is not blocked for more than 50 ms",
        (case("burst", sse(HEL, *49_999 * [LO], STOP), done("Hel" + 49_999 * "lo"), split=False, blocked=0.05),),
    ),
)

TRANSPORT = (
    Row(
        "69",
        "a malformed HTTP chunk size in the middle",
        "ProtocolError, ConnectionLost or StreamTimeout, never a hang",
        tuple(
            case(
                repr(size.decode("latin-1")),
                # The pause: where the headers come in the same read, aiohttp throws the whole answer away.
                (Headers(), Wait(0.05), Send(UNFINISHED), Wait(0.05), Raw(size + b"data: x\n\n\r\n"), Hang()),
                failed(ProtocolError, StreamTimeout, ConnectionLost, text="Hello"),
                options={"timeout": {"idle": CUT_TIMEOUT}},
                timeout=CUT_TIMEOUT,
                split=False,
            )
            for size in (b"zz\r\n", b"-1\r\n", b"ffffffffffffffffff\r\n", b"\r\n\r\n")
        ),
    ),
    Row(
        "70",
        "reset of a close-delimited body; a truncated gzip body",
        "TruncatedStream or ConnectionLost",
        (
            case(
                "reset",
                (Headers(framing="close"), Send(UNFINISHED), Reset()),
                failed(TruncatedStream, ConnectionLost, text="Hello"),
            ),
            case(
                "gzip",
                (Headers(headers={"content-encoding": "gzip"}), Send(TORN_GZIP), End()),
                failed(TruncatedStream, ConnectionLost, text="Hello"),
            ),
        ),
    ),
    Row(
        "71",
        "a kept-alive connection that the server closed as the request went out",
        "once more, not counted in `retries`",
        (case("closed", HELLO, done(events={"retry": 0, "connect": 1}), (Cut(),), HELLO, warm=True, split=False),),
    ),
    Row(
        "72",
        "a cut while bytes wait unread",
        "what had arrived is delivered first",
        tuple(
            case(
                name,
                (Send(sse(chunk("", role="assistant"), *map(chunk, MANY), done=False)), Wait(0.02), ending),
                failed(ConnectionLost, text="".join(MANY)),
                pause=0.3,
                split=False,
            )
            for name, ending in (("closed", Cut()), ("reset", Reset()))
        ),
    ),
    Row(
        "73",
        "redirects (307, 308), proxies, HTTP/1.0, IPv6, a Unix socket",
        "work; another host never gets the key",
        (
            case("307", moved(307), done(), HELLO, split=False),
            case("308", moved(308), done(), HELLO, split=False),
            case(
                "another host",
                (Headers(307, {"location": "{other}", "content-length": "0"}), End()),
                done("no key"),
                other=sse(chunk("no key", role="assistant"), STOP),
                split=False,
            ),
            case(
                "HTTP/1.0",
                (Raw(b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n" + HELLO), Cut()),
                done(),
            ),
            case("a proxy", HELLO, done(), via="proxy"),
            case("IPv6", HELLO, done(), via="ipv6"),
            case("a Unix socket", HELLO, done(), via="unix", needs=("unix",)),
        ),
    ),
    Row(
        "74",
        "odd `retry:` and `id:` fields",
        "ignored, never an exception",
        (
            field("5,000 digits", b"retry: " + b"9" * 5_000),
            field("+500", b"retry: +500"),
            field("1_0", b"retry: 1_0"),
            field("Arabic digits", "retry: ٣".encode()),
            field("an id with NUL", b"id: a\0b"),
        ),
    ),
)

ROWS = TIME + TRANSPORT
