"""The feed that every contender reads: OpenAI chat completion chunks of one exact size.

A feed is a role chunk, ``events`` chunks of text, a finish chunk, a usage chunk and ``[DONE]``. Each chunk of text is
`EVENT_BYTES` on the wire, its ``data: `` and its blank line included, and has the fields that api.openai.com sends,
``obfuscation`` (there to hide lengths from who sees only the packets) taking up the slack.
"""

from __future__ import annotations

import functools
import itertools
import json

__all__ = ["EVENT_BYTES", "Feed", "feed"]

EVENT_BYTES = 330

WORDS = (" the", " café", " rain", " ever", "\n\nAnd", " stone", " light", ' a "b', " under")

HEAD = {
    "id": "chatcmpl-CzT1hQ4vYb8nKfW2mXs7RpLd0eJ9u",
    "object": "chat.completion.chunk",
    "created": 1764000000,
    "model": "gpt-4.1-mini-2025-04-14",
    "service_tier": "default",
    "system_fingerprint": "fp_6f2eabb9a5",
}


class Feed:
    """The bytes of one feed, event by event, and the text that a reader must end up with."""

    def __init__(self, events: int) -> None:
        words = list(itertools.islice(itertools.cycle(WORDS), events))
        by_word = {word: _chunk({"content": word}) for word in WORDS}
        self.text = "".join(words)
        self.events = [
            _chunk({"role": "assistant", "content": "", "refusal": None}),
            *(by_word[word] for word in words),
            _chunk({}, finish_reason="stop"),
            _usage(events),
            b"data: [DONE]\n\n",
        ]


@functools.cache
def feed(events: int) -> Feed:
    """The feed with ``events`` chunks of text; made once a process.

    >>> made = feed(9)
    >>> len(made.events), {len(event) for event in made.events[1:-3]}
    (13, {330})
    """
    return Feed(events)


def _chunk(delta: dict[str, object], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
    body: dict[str, object] = {**HEAD, "choices": [choice], "usage": None, "obfuscation": ""}
    slack = EVENT_BYTES - len(_event(body))
    if slack < 0 and "role" not in delta:
        raise ValueError(f"the chunk for {delta!r} is {-slack} bytes over {EVENT_BYTES}")
    body["obfuscation"] = ("aZ3kQ9pLx7" * (slack // 10 + 1))[: max(slack, 0)]
    return _event(body)


def _usage(events: int) -> bytes:
    usage = {"prompt_tokens": 12, "completion_tokens": events, "total_tokens": events + 12}
    return _event({**HEAD, "choices": [], "usage": usage})


def _event(body: dict[str, object]) -> bytes:
    return b"data: " + json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode() + b"\n\n"
