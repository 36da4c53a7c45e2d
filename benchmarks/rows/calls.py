"""Rows 50 to 63: usage and tool calls."""

from __future__ import annotations

from streamkit.testing import answer, chunk, sse

from .case import CALLED, HEL, HELLO, LO, STOP, Call, Case, Row, calls, case, choices, delta, done, tool

__all__ = ["ROWS"]

COUNTS = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
BOTH: tuple[Call, ...] = (("add", '{"a":1}'), ("sub", '{"b":2}'))
ONE: tuple[Call, ...] = (("add", '{"a":1}'),)


def usage(name: str, *payloads: dict[str, object], text: str = "Hel", quirks: dict[str, int] | None = None) -> Case:
    return case(name, sse(*payloads), done(text, usage=(5, 7, 12), quirks=quirks or {}, events={"warning": 0}))


def called(
    name: str,
    *payloads: dict[str, object],
    expected: tuple[Call, ...] = ONE,
    finish_reason: str | None = "tool_calls",
    quirks: dict[str, int] | None = None,
    warnings: int = 0,
) -> Case:
    events = {"tool_call": len(expected), "warning": warnings}
    outcome = done("", finish_reason, tool_calls=expected, quirks=quirks or {}, events=events)
    return case(name, sse(*payloads), outcome)


def indexed(name: str, first: int | None, second: int | None, quirks: dict[str, int] | None = None) -> Case:
    return called(
        name,
        calls(tool(first, "call_a", "add", "")),
        calls(tool(first, arguments='{"a":')),
        calls(tool(first, arguments="1}")),
        calls(tool(second, "call_b", "sub", "")),
        calls(tool(second, arguments='{"b":2}')),
        CALLED,
        expected=BOTH,
        quirks=quirks,
    )


def fragments(name: str, *parts: dict[str, object]) -> Case:
    return called(name, *map(calls, parts), CALLED)


def early(name: str, *pieces: str) -> Case:
    parts = [calls(tool(0, arguments=piece)) for piece in pieces]
    return called(name, calls(tool(0, "call_a", "add", "")), *parts, CALLED, expected=(("add", "".join(pieces)),))


USAGE = (
    Row(
        "50",
        "usage in an extra last chunk with empty choices",
        "usage",
        (usage("last", HEL, STOP, chunk(usage=COUNTS)),),
    ),
    Row(
        "51",
        "usage anywhere else, cumulative, null after a value, …",
        "the last non-null wins; none is None",
        (
            usage("on the finish", HEL, {**STOP, "usage": COUNTS}),
            usage(
                "cumulative",
                {**HEL, "usage": {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}},
                {**LO, "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}},
                {**STOP, "usage": COUNTS},
                text="Hello",
            ),
            usage(
                "in the choice",
                HEL,
                choices({"index": 0, "delta": {}, "finish_reason": "stop", "usage": COUNTS}),
                quirks={"usage_in_choice": 1},
            ),
            usage("x_groq", HEL, {**STOP, "x_groq": {"id": "req_1", "usage": COUNTS}}),
            usage("null after it", HEL, {**STOP, "usage": COUNTS}, {**chunk(""), "usage": None}),
            usage("one more chunk", HEL, {**STOP, "usage": None}, chunk(usage=COUNTS), chunk("!"), text="Hel!"),
            case("none", sse(HEL, STOP), done("Hel", usage=None, events={"usage": 0})),
            case("only nulls", sse(HEL, {**STOP, "usage": None}), done("Hel", usage=None, events={"usage": 0})),
        ),
    ),
    Row(
        "52",
        "server answers 400 to `stream_options`",
        "once more without it, warning",
        (
            case(
                "refused",
                answer(400, {"error": {"message": "Unrecognized request argument supplied: stream_options"}}),
                done(quirks={"stream_options_refused": 1}, events={"connect": 1, "retry": 0}),
                HELLO,
                split=False,
            ),
        ),
    ),
)

CALLS = (
    Row(
        "53",
        "`index` missing; starts at 1; gaps",
        "one call each",
        (
            indexed("missing", None, None, {"tool_index_missing": 5}),
            indexed("from 1", 1, 2),
            indexed("a gap", 0, 5),
        ),
    ),
    Row(
        "54",
        "two parallel calls, both index 0, different ids",
        "two calls",
        (
            called(
                "one after the other",
                calls(tool(0, "call_a", "add", '{"a":1}')),
                calls(tool(0, "call_b", "sub", '{"b":2}')),
                CALLED,
                expected=BOTH,
            ),
        ),
    ),
    Row(
        "55",
        'id or name repeated; name late; name split; id missing or `""`',
        "one right name; an id is made up only where none came",
        (
            fragments(
                "repeated",
                tool(0, "call_a", "add", '{"a"'),
                tool(0, "call_a", "add", ":1"),
                tool(0, "call_a", "add", "}"),
            ),
            fragments(
                "late name",
                tool(0, "call_a", type="function"),
                tool(0, name="add"),
                tool(0, arguments='{"a":1}'),
            ),
            fragments(
                "split name",
                tool(0, "call_a", "a", ""),
                tool(0, name="dd", arguments=""),
                tool(0, arguments='{"a":1}'),
            ),
            fragments("empty id and name", tool(0, "call_a", "add", ""), tool(0, "", "", '{"a":1}')),
            fragments("late id", tool(0, "", "add", ""), tool(0, "call_a", arguments='{"a":1}')),
            fragments("no id", tool(0, None, "add", '{"a":1}')),
        ),
    ),
    Row(
        "56",
        "no `type`; `arguments` null or a JSON object",
        "function; the object serialised",
        (
            called(
                "no type",
                calls({"index": 0, "id": "call_a", "function": {"name": "add", "arguments": '{"a":1}'}}),
                CALLED,
            ),
            called(
                "null",
                calls({"index": 0, "id": "call_a", "type": "function", "function": {"name": "add", "arguments": None}}),
                calls(tool(0, arguments='{"a":1}')),
                CALLED,
            ),
            called(
                "an object",
                calls(tool(0, "call_a", "add", {"a": 1})),
                CALLED,
                quirks={"arguments_not_text": 1},
            ),
        ),
    ),
    Row(
        "57",
        "a whole call in one chunk, with or without the finish_reason",
        "`tool_call` once, after its last delta",
        (
            called("with it", calls(tool(0, "call_a", "add", '{"a":1}'), finish_reason="tool_calls")),
            called("without it", calls(tool(0, "call_a", "add", '{"a":1}')), CALLED),
        ),
    ),
    Row(
        "58",
        "finish_reason on the last arguments delta",
        "`tool_call` after that delta",
        (
            called(
                "on the last",
                calls(tool(0, "call_a", "add", '{"a":')),
                calls(tool(0, arguments="1}"), finish_reason="tool_calls"),
            ),
        ),
    ),
    Row(
        "59",
        'finish_reason "stop" (or none) although there are calls',
        "calls delivered",
        (
            called("stop", calls(tool(0, "call_a", "add", '{"a":1}')), STOP, finish_reason="stop"),
            called(
                "none",
                calls(tool(0, "call_a", "add", '{"a":1}')),
                finish_reason=None,
                quirks={"done_without_finish": 1},
                warnings=1,
            ),
        ),
    ),
    Row(
        "60",
        "two complete JSON objects under one index",
        "two calls, warning",
        (
            called(
                "two",
                calls(tool(0, "call_a", "add", '{"a":1}')),
                calls(tool(0, arguments='{"a":2}')),
                CALLED,
                expected=(("add", '{"a":1}'), ("add", '{"a":2}')),
                quirks={"tool_call_split": 1},
                warnings=1,
            ),
        ),
    ),
    Row(
        "61",
        "`extra_content`, thought signatures, maybe in a delta of their own",
        "kept on the call",
        (
            called(
                "of its own",
                calls(tool(0, "call_a", "add", '{"a":1}')),
                calls(tool(0, extra_content={"google": {"thought_signature": "abc"}})),
                CALLED,
            ),
        ),
    ),
    Row(
        "62",
        "arguments that parse before they are complete",
        "never finalised early",
        (early("{} and more", "{}", " "), early("a number", "1", "23"), early("a list", "[", "]")),
    ),
    Row(
        "63",
        "legacy `function_call` delta",
        "one call",
        (
            case(
                "legacy",
                sse(
                    delta(role="assistant", content=None, function_call={"name": "add", "arguments": ""}),
                    delta(function_call={"arguments": '{"a":'}),
                    delta(function_call={"arguments": "1}"}),
                    chunk(finish_reason="function_call"),
                ),
                done("", "function_call", tool_calls=ONE, quirks={"legacy_function_call": 3}),
            ),
        ),
    ),
)

ROWS = USAGE + CALLS
