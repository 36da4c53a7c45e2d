"""What is fuzzed: functions of bytes, which raise where a parser breaks a promise or raises what it must not."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from streamkit.accumulate import Accumulator
from streamkit.errors import ServerError, StatusError, TapeError
from streamkit.sse import EventTooLarge, ServerSentEvent, SSEDecoder
from streamkit.tape import parse_tape
from streamkit.wire.body import completion_in_body, is_feed_text, kind_of_body
from streamkit.wire.chat import ChatDecoder, MalformedChunk
from streamkit.wire.failure import error_in_event, retry_after, server_error, status_error

__all__ = ["FRAGMENTS", "SEEDS", "TARGETS"]

MAX_EVENT_BYTES: Final = 256


def sse(data: bytes) -> None:
    """The decoder: only EventTooLarge, the same events for every split, and never more held than the limit."""
    for lenient in (False, True):
        whole = _events(lenient, [data])
        size = 1 + len(data) % 7
        assert _events(lenient, [data[at : at + 1] for at in range(len(data))]) == whole
        assert _events(lenient, [data[at : at + size] for at in range(0, len(data), size)]) == whole
    limited = SSEDecoder(lenient=True, max_event_bytes=MAX_EVENT_BYTES)
    try:
        events = [*limited.feed(data), *limited.close()]
    except EventTooLarge:
        assert len(data) > MAX_EVENT_BYTES
    else:
        # A replaced byte is up to three bytes long in UTF-8.
        assert all(len(event.data.encode("utf-8", "surrogatepass")) <= 3 * MAX_EVENT_BYTES for event in events)


def _events(lenient: bool, reads: Iterable[bytes]) -> list[ServerSentEvent]:
    decoder = SSEDecoder(lenient=lenient)
    return [*(event for read in reads for event in decoder.feed(read)), *decoder.close()]


def chat(data: bytes) -> None:
    """A feed, decoded and accumulated: only MalformedChunk, text that can be printed, and increments that add up."""
    think = len(data) % 2 == 1
    accumulator = Accumulator()
    decoder = ChatDecoder(think_tags=think, quirks=accumulator.quirks)
    texts: list[str] = []
    excerpts: list[str] = []
    for payload in data.split(b"\n"):
        try:
            chunk = decoder.decode(payload)
        except MalformedChunk as malformed:
            excerpts.append(malformed.excerpt)
            continue
        repr(chunk)
        chunk.extra.keys()
        texts += [text for name, text in accumulator.add(chunk) if name == "text"]
        if chunk.error is not None:
            _is_shown(server_error(chunk.error))
    if (rest := decoder.close()) is not None:
        texts += [text for name, text in accumulator.add(rest) if name == "text"]
    calls, split = accumulator.finish_tool_calls()
    completion = accumulator.completion()
    assert completion.text == "".join(texts)
    assert all(len(excerpt) <= 120 for excerpt in excerpts)
    assert split >= 0
    assert all(call.id for call in calls)
    shown = [completion.id, completion.model]
    for choice in completion.choices:
        message = choice.message
        shown += [message.role, message.content, message.reasoning, message.refusal, choice.finish_reason]
        shown += [text for call in message.tool_calls for text in (call.id, call.name, call.arguments)]
    for text in shown:
        (text or "").encode()  # raises for half of a surrogate pair
    # What is made of the chunks is made of them alone, however much of it there is.
    assert len(completion.text) <= 6 * len(data)


def tape(data: bytes) -> None:
    """The reader of tapes: only TapeError, and a tape that makes sense."""
    try:
        read = parse_tape(data)
    except TapeError:
        return
    assert len(read.body) <= len(data)
    assert math.isfinite(read.duration)
    assert read.duration >= 0
    repr(read)


def failure(data: bytes) -> None:
    """What is made of error bodies and error events: always an error with a short message."""
    text = data.decode("utf-8", "replace")
    _is_shown(error_in_event(text))
    for content_type in ("application/json", "text/html", ""):
        error = status_error(500 + len(data) % 100, {"content-type": content_type, "retry-after": text}, data)
        _is_shown(error)
        assert error.retry_after is None or error.retry_after >= 0
    seconds = retry_after({"retry-after": text, "retry-after-ms": text}, now=0.0)
    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


def _is_shown(error: ServerError | StatusError) -> None:
    assert 0 < len(str(error)) < 1_200
    str(error).encode()


def body(data: bytes) -> None:
    """What a body is: never an exception, and the answer for a beginning does not change with what follows."""
    kind = kind_of_body(data)
    for size in range(min(len(data), 16)):
        early = kind_of_body(data[:size])
        assert early is None or early is kind
    is_feed_text(data)
    chunk = completion_in_body(data, Counter())
    if chunk is not None:
        Accumulator().add(chunk)


TARGETS: Final[dict[str, Callable[[bytes], None]]] = {
    "sse": sse,
    "chat": chat,
    "tape": tape,
    "failure": failure,
    "body": body,
}

SEEDS: Final[dict[str, tuple[bytes, ...]]] = {
    "sse": (
        b'data: {"a":1}\n\ndata: [DONE]\n\n',
        b": ping\r\n\r\nid: 1\r\nevent: x\r\ndata: a\r\ndata: b\r\n\r\n",
        b"\xef\xbb\xbfdata:a\r\rretry: 5\rerror: x\r\r",
    ),
    "chat": (
        b'{"choices":[{"index":0,"delta":{"role":"assistant","content":"hi"},"finish_reason":null}]}',
        (
            b'{"choices":[{"delta":{"tool_calls":[{"index":0,"id":"a","function":{"name":"f","arguments":"{}"}}]}}]}\n'
            b'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]},"finish_reason":"stop"}]}'
        ),
        b'{"choices":[{"delta":{"content":"\\ud83d"}}]}\n{"choices":[{"delta":{"content":"\\ude00<think>x"}}]}',
        b'{"choices":[{"delta":{"content":[{"type":"thinking","thinking":[{"text":"x"}]}]}}],"usage":{"total_tokens":1}}',
        b'{"error":{"message":"x","code":"429"},"x_groq":{"usage":{}}}',
    ),
    "tape": (
        (
            b'{"format": "streamkit-tape", "version": 1}\n[0.1, "h", {"status": 200, "headers": [["a","b"]]}]\n'
            b'[0.2, "d", "data: x\\n\\n"]\n[0.3, "b", "AAEC"]\n[0.4, "e", "eof"]\n'
        ),
    ),
    "failure": (
        b'{"error":{"message":"x","code":429,"type":"t"}}',
        b'{"detail":[{"loc":["body","n"],"msg":"too many"}]}',
        b"<html><head><title>502</title></head></html>",
        b"Thu, 01 Jan 1970 00:00:09 GMT",
        b"2.5",
    ),
    "body": (
        b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}',
        b"<html>",
        b"\xef\xbb\xbf data: x\n\n",
    ),
}

FRAGMENTS: Final[tuple[bytes, ...]] = (
    *b"data:|data: |event: error|id: 1|retry: 9|error: |: |[DONE]".split(b"|"),
    *b"\n|\r|\r\n|\n\n|\xef\xbb\xbf|\xff|\xc3|\x00".split(b"|"),
    *b'{ } [ ] , : null true 1e999 -1 0.5 "" "\\ud83d" "\\ude00" "<think>" "</thi"'.split(),
    *b'"choices" "delta" "content" "finish_reason" "stop" "usage" "total_tokens" "error" "message" "code" "detail"'.split(),
    *b'"tool_calls" "function" "arguments" "name" "id" "index" "text" "thinking" "reasoning" "function_call"'.split(),
    *b'"x_groq" {"choices":[{"delta": {"content":"x"} }]}'.split(),
)
"""What the dictionaries of the fuzzers are made of."""
