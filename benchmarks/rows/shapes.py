"""Rows 37 to 49: the shape of a chunk."""

from __future__ import annotations

from streamkit import TruncatedStream
from streamkit.testing import chunk, sse

from .case import HEL, LO, STOP, Case, Row, case, choices, delta, done, failed

__all__ = ["ROWS"]

FILTERS = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False}}}]
OFFSETS = {"check_offset": 1, "start_offset": 2, "end_offset": 3}
TOKEN = {"token": "Hel", "logprob": -0.5, "bytes": [72], "top_logprobs": []}


def odd(name: str, payload: dict[str, object], quirks: dict[str, int] | None = None) -> Case:
    return case(name, sse(HEL, payload, LO, STOP), done(quirks=quirks or {}, events={"chunk": 4, "warning": 0}))


def escaped(text: str) -> bytes:
    return b"data: " + sse(delta(content="?"), done=False)[6:].replace(b"?", text.encode())


def reasoning(name: str, *, repeated: bool = False, **fields: object) -> Case:
    feed = sse(delta(None, role="assistant", content="", **fields), delta(None, **fields), LO, STOP)
    quirks = {"reasoning_repeated": 2} if repeated else {}
    expected = done("lo", reasoning="hmhm", quirks=quirks, events={"reasoning": 2})
    return case(name, feed, expected, needs=("reasoning",))


TAGS = ["<", "thi", "nk>h", "m</th", "ink>", "a < b", "<", "thing>"]

ROWS = (
    Row(
        "37",
        'Azure: first chunk `choices: []`, `id: ""`, prompt_filter_results',
        "chunk without text, unknown fields kept",
        (
            case(
                "first",
                sse(
                    {
                        "choices": [],
                        "created": 0,
                        "id": "",
                        "model": "",
                        "object": "",
                        "prompt_filter_results": FILTERS,
                    },
                    HEL,
                    LO,
                    STOP,
                ),
                done(extra={"prompt_filter_results": FILTERS}, events={"chunk": 4, "warning": 0}),
            ),
        ),
    ),
    Row(
        "38",
        "Azure async filter: no `delta`, or `delta: null`",
        "nothing breaks",
        (
            odd("no delta", choices({"index": 0, "finish_reason": None, "content_filter_offsets": OFFSETS})),
            odd("null", choices({"index": 0, "finish_reason": None, "delta": None, "content_filter_offsets": OFFSETS})),
        ),
    ),
    Row(
        "39",
        "`choices: null` or missing; missing `object`, `created`, `model`, `index`, `id`; …",
        "accepted",
        (
            odd("choices null", {**choices(), "choices": None}, {"choices_missing": 1}),
            odd("choices missing", {"id": "x", "object": "chat.completion.chunk"}, {"choices_missing": 1}),
            odd("only a delta", {"choices": [{"delta": {"content": ""}}]}),
            odd("created a float", choices(created=1767225600.25)),
            odd("another id", choices({"index": 0, "delta": {}}, id="another", model=None)),
            case(
                "the barest feed",
                sse({"choices": [{"delta": {"content": "Hi"}}]}, {"choices": [{"finish_reason": "stop"}]}),
                done("Hi"),
            ),
        ),
    ),
    Row(
        "40",
        'role repeated in each chunk, `""` or null',
        "one role",
        tuple(
            case(f"{role!r}", sse(HEL, chunk("lo", role=role), chunk("!", role=role), STOP), done("Hello!"))
            for role in ("assistant", "", None)
        ),
    ),
    Row(
        "41",
        'finish_reason `""` on every chunk',
        "not a finish",
        (
            case(
                "never another",
                sse(chunk("Hel", role="assistant", finish_reason=""), chunk("lo", finish_reason=""), done=False),
                failed(TruncatedStream, text="Hello"),
            ),
            case(
                "then one",
                sse(chunk("Hel", role="assistant", finish_reason=""), chunk("lo", finish_reason="stop")),
                done(),
            ),
        ),
    ),
    Row(
        "42",
        "two finish chunks; content after the finish",
        "content in order, last reason wins",
        (
            case(
                "both",
                sse(HEL, STOP, LO, chunk(finish_reason="length"), chunk("!", finish_reason="")),
                done("Hello!", "length", events={"text_done": 1, "text": 3}),
            ),
        ),
    ),
    Row(
        "43",
        "`content` as a list of parts (Mistral)",
        "text to text, thinking to reasoning, others to extra",
        (
            case(
                "parts",
                sse(
                    delta(
                        role="assistant", content=[{"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}]
                    ),
                    delta(content=[{"type": "text", "text": "Hi"}, {"type": "reference", "reference_ids": [1]}]),
                    LO,
                    STOP,
                ),
                done("Hilo", reasoning="hm", quirks={"content_parts": 2}),
            ),
        ),
    ),
    Row(
        "44",
        "reasoning under five names, or several at once",
        "one reasoning text, never doubled",
        (
            reasoning("reasoning_content", reasoning_content="hm"),
            reasoning("reasoning", reasoning="hm"),
            reasoning("reasoning_text", reasoning_text="hm"),
            reasoning("cot_summary", cot_summary="hm"),
            reasoning("reasoning_details", reasoning_details=[{"type": "reasoning.text", "text": "hm"}]),
            reasoning("two", reasoning_content="hm", reasoning="hm"),
            reasoning(
                "details too",
                repeated=True,
                reasoning="hm",
                reasoning_details=[{"type": "reasoning.text", "text": "hm"}],
            ),
        ),
    ),
    Row(
        "45",
        "`<think>…</think>` inline, tags split over chunks",
        "reasoning, with `think_tags=True`",
        (
            case(
                "split",
                sse(*map(chunk, TAGS), STOP),
                done("a < b<thing>", reasoning="hm"),
                needs=("think_tags",),
                options={"think_tags": True},
            ),
            case("left alone", sse(chunk("", role="assistant"), *map(chunk, TAGS), STOP), done("".join(TAGS))),
        ),
    ),
    Row(
        "46",
        "n>1, index 1 first; interleaved; two choices in one chunk",
        "every choice its own message",
        (
            case(
                "two choices",
                sse(
                    chunk("A", index=1, role="assistant"),
                    chunk("a", index=0, role="assistant"),
                    chunk("B", index=1),
                    choices({"index": 1, "delta": {"content": "c"}}, {"index": 0, "delta": {"content": "b"}}),
                    STOP,
                    chunk(index=1, finish_reason="length"),
                ),
                done("ab", choices={0: ("ab", "stop"), 1: ("ABc", "length")}),
            ),
        ),
    ),
    Row(
        "47",
        "legacy completions (`choices[].text`)",
        "text",
        (
            case(
                "text",
                sse(
                    choices({"text": "Hel", "index": 0, "finish_reason": None}, object="text_completion"),
                    choices({"text": "lo", "index": 0, "finish_reason": "stop"}, object="text_completion"),
                ),
                done(quirks={"legacy_text": 2}),
                needs=("legacy",),
            ),
        ),
    ),
    Row(
        "48",
        "a lone surrogate escape, its other half in the next delta",
        "joined; one that stays alone: U+FFFD, warning",
        (
            case("split", sse(HEL, escaped("\\ud83d"), escaped("\\ude00"), STOP), done("Hel😀", events={"warning": 0})),
            case("alone", sse(HEL, escaped("\\ud83d"), STOP), done("Hel\ufffd", quirks={"lone_surrogate": 1})),
        ),
    ),
    Row(
        "49",
        "logprobs, annotations, audio, service_tier, `x_groq`, `timings`, …",
        "kept",
        (
            case(
                "all at once",
                sse(
                    choices(
                        {
                            "index": 0,
                            "delta": {"role": "assistant", "content": "Hel", "annotations": [{"type": "url_citation"}]},
                            "logprobs": {"content": [TOKEN], "refusal": None},
                            "finish_reason": None,
                        },
                        service_tier="default",
                        obfuscation="xyz",
                        x_groq={"id": "req_1"},
                        timings={"prompt_n": 3},
                    ),
                    delta(refusal="no"),
                    STOP,
                ),
                done(
                    "Hel",
                    refusal="no",
                    extra={
                        "service_tier": "default",
                        "obfuscation": "xyz",
                        "x_groq": {"id": "req_1"},
                        "timings": {"prompt_n": 3},
                    },
                ),
            ),
        ),
    ),
)
