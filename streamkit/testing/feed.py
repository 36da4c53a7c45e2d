"""The bytes of a completion feed, for scripts."""

from __future__ import annotations

import json
from collections.abc import Mapping

__all__ = ["chunk", "sse"]


def sse(*payloads: Mapping[str, object] | str | bytes, done: bool = True) -> bytes:
    r"""A feed of server-sent events.

    Args:
        payloads: a mapping is sent as JSON and a string as it is, each as the data of one event; bytes go out bare, for
            comments, other fields and what is broken.
        done: whether `data: [DONE]` comes last.

    >>> sse({"n": 1}, b": ping\n\n", "two\nlines")
    b'data: {"n":1}\n\n: ping\n\ndata: two\ndata: lines\n\ndata: [DONE]\n\n'
    """
    return b"".join(map(_event, payloads)) + (_event("[DONE]") if done else b"")


def _event(payload: Mapping[str, object] | str | bytes) -> bytes:
    if isinstance(payload, bytes):
        return payload
    if isinstance(payload, str):
        text = payload
    else:
        text = json.dumps(payload, ensure_ascii=False, separators=(",", ":"))
    return ("".join(f"data: {line}\n" for line in text.split("\n")) + "\n").encode("utf-8", "surrogatepass")


def chunk(
    text: str | None = None,
    *,
    finish_reason: str | None = None,
    index: int = 0,
    usage: Mapping[str, object] | None = None,
    **delta: object,
) -> dict[str, object]:
    """A chunk as OpenAI sends it.

    Args:
        text: the content of the delta; None for a delta without.
        finish_reason: why the choice ends here.
        index: which choice.
        usage: the token counts; if nothing else is given, the chunk has no choices, as the last one of a feed.
        delta: other fields of the delta: `role`, `refusal`, `reasoning_content`, `tool_calls`.

    >>> chunk("Hi", role="assistant")["choices"]
    [{'index': 0, 'delta': {'role': 'assistant', 'content': 'Hi'}, 'finish_reason': None}]
    >>> chunk(usage={"total_tokens": 3})["choices"]
    []
    """
    if text is not None:
        delta["content"] = text
    choice = {"index": index, "delta": delta, "finish_reason": finish_reason}
    whole: dict[str, object] = {
        "id": "chatcmpl-streamkit",
        "object": "chat.completion.chunk",
        "created": 1_767_225_600,
        "model": "streamkit-test",
        "choices": [] if usage is not None and not delta and finish_reason is None else [choice],
    }
    return whole if usage is None else {**whole, "usage": usage}
