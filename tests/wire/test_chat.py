from __future__ import annotations

import json
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings, strategies as st

from streamkit.accumulate import Accumulator
from streamkit.model import Chunk, Delta
from streamkit.testing import chunk, sse
from streamkit.wire.chat import FAST_REFUSALS, ChatDecoder, MalformedChunk, excerpt_of, needs_slow
from streamkit.wire.mend import mend_chunk

from ..feeds import fold


def encoded(body: object) -> bytes:
    return json.dumps(body).encode()


def decode(body: object) -> Chunk:
    return ChatDecoder().decode(body if isinstance(body, bytes) else encoded(body))


def delta_sent(delta: dict[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}


def delta_of(chunk: Chunk) -> Delta:
    delta = chunk.choices[0].delta
    assert delta is not None
    return delta


def quirks_of(body: object) -> dict[str, int]:
    decoder = ChatDecoder()
    decoder.decode(encoded(body))
    return dict(decoder.quirks)


def taken_fast(body: object) -> bool:
    try:
        return not needs_slow(ChatDecoder().fast(encoded(body)))
    except FAST_REFUSALS:
        return False


# --- the two speeds


def test_the_chunk_that_everyone_sends_is_taken_fast():
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": ""}}
    for delta in (
        {"content": "x"},
        {"role": "assistant", "content": ""},
        {"reasoning": "x"},
        {"tool_calls": [call]},
        {},
    ):
        assert taken_fast(
            {**chunk(), **delta_sent(delta), "usage": None, "service_tier": "default", "obfuscation": "x"}
        )


@pytest.mark.parametrize(
    "odd",
    [
        {"error": {"message": "x"}},
        {"usage": {"total_tokens": 1}},
        {"x_groq": {"usage": {"total_tokens": 1}}},
        {"choices": []},
        {"choices": None},
        {"choices": [{"index": 0}]},
        {"choices": [{"delta": {}, "usage": {"total_tokens": 1}}]},
        {"choices": [{"delta": {}, "logprobs": {"content": []}}]},
        {"choices": [{"delta": {"content": []}}]},
        {"choices": [{"delta": {"reasoning_text": "x"}}]},
        {"choices": [{"delta": {"cot_summary": "x"}}]},
        {"choices": [{"delta": {"reasoning_details": [{"text": "x"}]}}]},
        {"choices": [{"delta": {"function_call": {"name": "x"}}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "extra_content": {}}]}}]},
        {"choices": [{"delta": {"tool_calls": [{"index": 0, "function": {"arguments": {}}}]}}]},
    ],
)
def test_what_changes_an_outcome_is_never_taken_fast(odd):
    assert not taken_fast({**chunk("x"), **odd})


@pytest.mark.parametrize("body", [chunk("x"), {**chunk("x"), "error": {"message": "m"}}, {"choices": [{"text": "x"}]}])
def test_a_chunk_keeps_its_bytes(body):
    data = encoded(body)
    assert decode(data).raw == data


def test_the_quirks_are_counted_where_the_caller_wants_them():
    quirks: Counter[str] = Counter(before=1)
    decoder = ChatDecoder(quirks=quirks)
    decoder.decode(encoded({"choices": [{"text": "x"}]}))
    assert quirks == {"before": 1, "legacy_text": 1}


def test_row_53_a_missing_index_is_counted_at_both_speeds():
    call = {"id": "c", "function": {"name": "f", "arguments": "{}"}}
    assert quirks_of(chunk(tool_calls=[call])) == {"tool_index_missing": 1}
    assert quirks_of(chunk(tool_calls=[call], function_call=None, reasoning_text="x")) == {"tool_index_missing": 1}


# Every field of a chunk as some server sends it, in the type of the API or in another.
texts = st.none() | st.text(max_size=6)
fragments = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(-1, 3),
        "id": texts,
        "type": st.sampled_from(["function", None, ""]),
        "function": st.none()
        | st.fixed_dictionaries(
            {}, optional={"name": texts, "arguments": texts | st.dictionaries(texts, texts), "more": texts}
        ),
        "extra_content": st.dictionaries(st.text(max_size=3), texts, max_size=2),
    },
)
deltas = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["assistant", "", None]),
        "content": texts
        | st.lists(st.fixed_dictionaries({"type": st.sampled_from(["text", "thinking", "x"]), "text": texts})),
        "refusal": texts,
        "reasoning_content": texts,
        "reasoning": texts,
        "reasoning_text": texts,
        "reasoning_details": st.lists(st.fixed_dictionaries({}, optional={"text": texts}), max_size=2),
        "tool_calls": st.none() | st.lists(fragments, max_size=3),
        "function_call": st.none() | st.fixed_dictionaries({}, optional={"name": texts, "arguments": texts}),
        "annotations": st.lists(st.integers(), max_size=1),
    },
)
usages = st.none() | st.fixed_dictionaries(
    {},
    optional={
        name: st.none() | st.integers(0, 99) for name in ("prompt_tokens", "completion_tokens", "total_tokens", "x")
    },
)
choices_sent = st.fixed_dictionaries(
    {},
    optional={
        "index": st.none() | st.integers(0, 3),
        "delta": st.none() | deltas,
        "finish_reason": st.sampled_from([None, "", "stop", "length", "eos"]),
        "logprobs": st.none() | st.fixed_dictionaries({"content": st.none() | st.lists(st.integers(), max_size=2)}),
        "usage": usages,
    },
)
chunks_sent = st.fixed_dictionaries(
    {},
    optional={
        "id": texts,
        "object": st.sampled_from(["chat.completion.chunk", "", None]),
        "created": st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False),
        "model": texts,
        "choices": st.none() | st.lists(choices_sent, max_size=3),
        "usage": usages,
        "error": st.none() | st.just({"message": "x"}),
        "x_groq": st.none() | st.fixed_dictionaries({"usage": usages}),
    },
)


def said(chunk: Chunk) -> list[object]:
    """What a chunk says; "" and None are one, for nothing was sent."""
    return [
        chunk.id or None,
        chunk.model or None,
        chunk.usage,
        chunk.error,
        chunk.text,
        chunk.extra,
        [
            (
                choice.index,
                choice.finish_reason or None,
                choice.logprobs,
                delta
                and (
                    delta.role or None,
                    delta.content or None,
                    delta.refusal or None,
                    delta.reasoning or None,
                    [
                        (call.index, call.id or None, call.type or None, call.extra)
                        + (
                            (call.function.name or None, call.function.arguments or None)
                            if call.function
                            else (None, None)
                        )
                        for call in delta.tool_calls or ()
                    ],
                ),
            )
            for choice in chunk.choices
            for delta in [choice.delta]
        ],
    ]


@given(chunks_sent)
@settings(max_examples=200, deadline=None)
def test_both_speeds_agree(body):
    data = encoded(body)
    assert said(decode(data)) == said(mend_chunk(body, data, Counter()))


@given(st.lists(chunks_sent, max_size=4))
@settings(max_examples=100, deadline=None)
def test_both_speeds_add_up_to_the_same(bodies):
    fast, slow = Accumulator(), Accumulator()
    for body in bodies:
        data = encoded(body)
        events = fast.add(decode(data))
        assert tuple(events) == tuple(slow.add(mend_chunk(body, data, Counter())))
    assert fast.completion() == slow.completion()
    assert fast.finished == slow.finished


# --- nothing but MalformedChunk


def assert_harmless(data: bytes) -> None:
    for think_tags in (False, True):
        decoder = ChatDecoder(think_tags=think_tags)
        try:
            found = decoder.decode(data)
        except MalformedChunk as malformed:
            assert malformed.detail
            assert len(malformed.excerpt) <= 120
            found = None
        accumulator = Accumulator()
        for one in (found, decoder.close()):
            if one is not None:
                accumulator.add(one)
                assert isinstance(one.extra, dict)
                one.text.encode()
        accumulator.finish_tool_calls()
        accumulator.completion().text.encode()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**30, 10**40)
    | st.floats()
    | st.text(alphabet=st.characters(codec=None, categories=None), max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "choices",
                    "delta",
                    "content",
                    "text",
                    "type",
                    "thinking",
                    "message",
                    "index",
                    "id",
                    "name",
                    "function",
                    "arguments",
                    "tool_calls",
                    "function_call",
                    "usage",
                    "prompt_tokens",
                    "error",
                    "object",
                    "finish_reason",
                    "logprobs",
                    "x_groq",
                    "reasoning",
                    "reasoning_details",
                    "role",
                    "refusal",
                ]
            ),
            inner,
            max_size=5,
        )
    ),
    max_leaves=20,
)


@given(json_values)
@example({"choices": [{"delta": {"content": [{"type": ["text"], "text": "x"}]}}]})
@settings(max_examples=200, deadline=None)
def test_any_json_is_a_chunk_or_malformed(value):
    assert_harmless(encoded(value))


@given(st.lists(json_values, max_size=2), json_values, json_values)
@settings(max_examples=200, deadline=None)
def test_any_json_inside_a_chunk_is_a_chunk(contents, arguments, usage):
    call = {"index": 0, "function": {"name": "f", "arguments": arguments}}
    body = {"choices": [{"delta": {"content": contents, "tool_calls": [call]}}], "usage": usage}
    assert_harmless(encoded(body))


@given(
    st.binary(max_size=60)
    | st.binary(max_size=30).map(lambda data: b'{"choices":[{"delta":{"content":"' + data + b'"}}]}')
)
@settings(max_examples=200, deadline=None)
def test_any_bytes_are_a_chunk_or_malformed(data):
    assert_harmless(data)


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 100_000 + b"]" * 100_000,
        b'{"a":' * 100_000,
        b'{"choices":[{"delta":{"content":"x"}}],"p":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"choices":[{"delta":{"content":"x"}}],"p":NaN,"q":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        *(
            b'{"choices":[{"delta":{"tool_calls":[{"function":{"arguments":' + b"[" * depth + b"]" * depth + b"}}]}}]}"
            for depth in (500, *range(900, 1000, 7), 2_000)
        ),
    ],
    ids=lambda data: f"{data[:16].decode()}-{len(data)}",
)
def test_deep_nesting_is_a_chunk_or_malformed(data):
    assert_harmless(data)


@pytest.mark.parametrize("digits", [25, 400, 4_000, 5_000])
@pytest.mark.parametrize(
    "where", ['{"id":%s}', '{"usage":{"total_tokens":%s}}', '{"choices":[{"index":%s,"delta":{}}]}', "%s"]
)
def test_huge_numbers_are_a_chunk_or_malformed(where, digits):
    assert_harmless((where % ("7" * digits)).encode())


def test_a_message_of_a_malformed_chunk_is_short_and_shows_the_beginning():
    with pytest.raises(MalformedChunk) as caught:
        ChatDecoder().decode(b"<html>" + b"x" * 10_000)
    assert caught.value.detail.startswith("not JSON: ")
    assert caught.value.excerpt == "<html>" + "x" * 113 + "…"
    assert len(str(caught.value)) < 200


@given(st.binary(max_size=700))
@settings(max_examples=100, deadline=None)
def test_an_excerpt_is_never_longer_than_120_characters(data):
    text = data.decode("utf-8", "replace")
    excerpt = excerpt_of(data)
    assert len(excerpt) <= 120
    assert excerpt == text or (excerpt[-1] == "…" and text.startswith(excerpt[:-1]))


# --- the rows of what real feeds do


def test_row_24_invalid_utf8_is_replaced_and_warned_of():
    decoder = ChatDecoder()
    data = b'{"choices":[{"delta":{"content":"caf\xe9!"}}]}'
    assert decoder.decode(data).text == "caf\ufffd!"
    assert [(warning.kind, warning.excerpt) for warning in decoder.warnings] == [
        ("invalid_utf8", data.decode("utf-8", "replace"))
    ]
    assert decoder.decode(encoded(chunk("x"))).text == "x"


@pytest.mark.parametrize("data", [b'data: {"choices":[]}', b": keep-alive", b"error: the server is down"])
def test_row_25_a_field_wrapped_in_data_is_malformed(data):
    with pytest.raises(MalformedChunk, match="^not JSON: "):
        ChatDecoder().decode(data)


def test_row_27_a_malformed_chunk_is_skipped_and_the_next_one_is_read():
    folded = fold([sse(chunk("a"), '{"choices":[{"delta"', chunk("b", finish_reason="stop"))])
    assert folded.completion.text == "ab"
    assert [malformed.excerpt for malformed in folded.malformed] == ['{"choices":[{"delta"']


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (None, "null"),
        (5, "number"),
        (1.5, "number"),
        (True, "boolean"),
        ("x", "string"),
        ([], "array"),
        ([{}], "array"),
    ],
)
def test_row_28_json_that_is_no_object_is_malformed(body, kind):
    with pytest.raises(MalformedChunk) as caught:
        decode(body)
    assert caught.value.detail == f"a JSON {kind} where a chunk should be"
    assert caught.value.excerpt == json.dumps(body)


def test_row_28_an_empty_object_is_an_empty_chunk():
    assert decode({}).choices == ()
    assert quirks_of({}) == {"choices_missing": 1}


def test_row_37_azures_first_chunk_has_no_text_and_keeps_its_filter_results():
    results = [{"prompt_index": 0, "content_filter_results": {"hate": {"filtered": False, "severity": "safe"}}}]
    first = decode({"choices": [], "created": 0, "id": "", "model": "", "object": "", "prompt_filter_results": results})
    assert (first.text, first.choices) == ("", ())
    assert first.extra["prompt_filter_results"] == results


@pytest.mark.parametrize("delta", [{}, {"delta": None}])
def test_row_38_a_choice_without_a_delta_has_no_text(delta):
    offsets = {"check_offset": 44, "start_offset": 44, "end_offset": 198}
    body = {"choices": [{"index": 0, "finish_reason": None, "content_filter_offsets": offsets, **delta}]}
    assert decode(body).text == ""
    assert decode(body).choices[0].delta is None
    assert decode(body).extra["choices"][0]["content_filter_offsets"] == offsets


def test_row_38_a_choice_without_a_delta_beside_one_with_text():
    body = {"choices": [{"index": 1, "delta": None}, {"index": 0, "delta": {"content": "x"}}]}
    assert decode(body).text == "x"


@pytest.mark.parametrize("missing", ["id", "object", "created", "model"])
@pytest.mark.parametrize("how", [lambda body, name: body.pop(name), lambda body, name: body.update({name: None})])
def test_row_39_a_chunk_without_a_field_is_accepted(missing, how):
    body = chunk("x")
    how(body, missing)
    assert decode(body).text == "x"


@pytest.mark.parametrize("body", [{"choices": None}, {"id": "c"}, {"choices": {}}])
def test_row_39_a_chunk_without_choices_is_accepted(body):
    assert decode(body).choices == ()
    assert quirks_of(body) == {"choices_missing": 1}


@pytest.mark.parametrize(
    "index", [{}, {"index": None}, {"index": "0"}, {"index": 0.0}, {"index": False}, {"index": [1]}]
)
def test_row_39_a_choice_without_an_index_is_the_first(index):
    assert decode({"choices": [{**index, "delta": {"content": "x"}}]}).text == "x"


@pytest.mark.parametrize("created", [1_700_000_000.25, "1700000000", 1_700_000_000_000])
def test_row_39_created_may_be_anything(created):
    assert decode({**chunk("x"), "created": created}).text == "x"


@pytest.mark.parametrize("identity", [7, "7"])
def test_row_39_an_id_may_be_a_number(identity):
    assert decode({**chunk("x"), "id": identity}).id == "7"


def test_row_39_the_first_id_that_says_something_holds():
    folded = fold(
        [sse({**chunk("a"), "id": "", "model": ""}, *({**chunk("b"), "id": name} for name in ("one", "two", "stub")))]
    )
    assert folded.completion.id == "one"
    assert folded.completion.model == "streamkit-test"


@pytest.mark.parametrize("role", ["", None, "assistant"])
def test_row_40_a_repeated_role_is_one_role(role):
    folded = fold([sse(chunk("a", role="assistant"), chunk("b", role=role), chunk("c", role=role))])
    assert folded.completion.choices[0].message.role == "assistant"
    assert folded.completion.text == "abc"


def test_row_41_an_empty_finish_reason_is_no_finish():
    folded = fold([sse(*({**chunk(text, finish_reason="")} for text in "abc"))])
    assert folded.completion.text == "abc"
    assert folded.completion.finish_reason is None


def test_row_43_content_parts_become_text_and_reasoning():
    parts = [
        {"type": "thinking", "thinking": [{"type": "text", "text": "hm "}, {"type": "text", "text": "hm"}]},
        {"type": "text", "text": "42"},
        {"type": "reference", "reference_ids": [1]},
        {"type": "text", "text": "!"},
    ]
    body = chunk(content=parts)
    found = decode(body)
    assert (found.text, delta_of(found).reasoning) == ("42!", "hm hm")
    assert found.extra["choices"][0]["delta"]["content"] == [parts[2]]
    assert quirks_of(body) == {"content_parts": 1}


@pytest.mark.parametrize(
    ("content", "text", "reasoning"),
    [
        ([], "", None),
        (["a", "b"], "ab", None),
        ({"type": "text", "text": "a"}, "a", None),
        ([{"text": "a"}], "a", None),
        ([{"type": "thinking", "thinking": "hm"}], "", "hm"),
        ([{"type": "thinking", "thinking": ["h", "m"]}], "", "hm"),
        ([{"type": "thinking"}], "", None),
        ([{"type": "text", "text": None}, None], "", None),
    ],
)
def test_row_43_content_parts_in_other_shapes(content, text, reasoning):
    found = decode(chunk(content=content))
    assert (found.text, delta_of(found).reasoning) == (text, reasoning)


def test_row_43_content_that_turns_from_parts_to_text():
    folded = fold(
        [
            sse(
                chunk(content=[{"type": "text", "text": "a"}]),
                chunk("b"),
                chunk(content=[{"type": "text", "text": "c"}]),
            )
        ]
    )
    assert folded.completion.text == "abc"


def test_row_43_a_number_as_content_is_text():
    assert decode(chunk(content=5)).text == "5"


REASONING = ["reasoning_content", "reasoning", "reasoning_text", "cot_summary"]


@pytest.mark.parametrize("name", REASONING)
def test_row_44_reasoning_under_every_name(name):
    folded = fold([sse(delta_sent({name: "hm"}), delta_sent({name: " yes"}), chunk("42"))])
    assert (folded.completion.reasoning, folded.completion.text) == ("hm yes", "42")


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(5))
def test_row_44_reasoning_under_two_names_is_not_doubled(first, second):
    if second <= first:
        return
    others: dict[str, Any] = {REASONING[second]: "two"} if second < 4 else {"reasoning_details": [{"text": "two"}]}
    assert delta_of(decode(delta_sent({REASONING[first]: "one", **others}))).reasoning == "one"


def test_row_44_reasoning_details_alone():
    details = [
        {"type": "reasoning.text", "text": "a"},
        {"type": "reasoning.summary", "summary": "b"},
        {"data": "sealed"},
    ]
    found = decode(chunk(reasoning_details=details))
    assert delta_of(found).reasoning == "ab"
    assert found.extra["choices"][0]["delta"]["reasoning_details"] == details


@pytest.mark.parametrize("empty", ["", None])
def test_row_44_an_empty_name_gives_way_to_the_next(empty):
    assert delta_of(decode(chunk(reasoning_content=empty, reasoning="hm", reasoning_details=[]))).reasoning == "hm"


def test_row_44_a_repetition_is_counted():
    assert quirks_of(chunk(reasoning="a", reasoning_text="a")) == {"reasoning_repeated": 1}


def test_row_46_every_choice_has_its_own_message():
    two = {"choices": [{"index": 0, "delta": {"content": "d"}}, {"index": 1, "delta": {"content": "D"}}]}
    folded = fold(
        [
            sse(
                chunk("A", index=1),
                chunk("a"),
                chunk("B", index=1),
                chunk("b"),
                two,
                chunk(index=1, finish_reason="length"),
                chunk(finish_reason="stop"),
            )
        ]
    )
    assert [(choice.index, choice.message.content, choice.finish_reason) for choice in folded.completion.choices] == [
        (0, "abd", "stop"),
        (1, "ABD", "length"),
    ]


def test_row_47_legacy_completions_are_text():
    legacy = [
        {"id": "c", "object": "text_completion", "choices": [{"index": 0, "text": text}]} for text in ("a", "", "b")
    ]
    folded = fold([sse(*legacy)])
    assert folded.completion.text == "ab"
    assert folded.completion.quirks == {"legacy_text": 3}


def test_row_48_the_halves_of_a_pair_in_two_deltas_are_joined():
    decoder = ChatDecoder()
    texts = [
        decoder.decode(b'{"choices":[{"delta":{"content":"%s"}}]}' % text).text
        for text in (b"a\\ud83d", b"\\ude00b", b"c")
    ]
    assert texts == ["a", "😀b", "c"]
    assert decoder.warnings == []
    assert decoder.close() is None


def test_row_48_a_half_alone_in_the_middle_is_replaced_and_warned_of_once():
    decoder = ChatDecoder()
    texts = [
        decoder.decode(b'{"choices":[{"delta":{"content":"%s"}}]}' % text).text
        for text in (b"a\\ud83d", b"b", b"\\ude00")
    ]
    assert texts == ["a", "\ufffdb", "\ufffd"]
    assert [warning.kind for warning in decoder.warnings] == ["lone_surrogate"] * 2


def test_row_48_a_half_at_the_end_of_the_feed_is_replaced_and_warned_of():
    folded = fold([sse(chunk("a"), '{"choices":[{"delta":{"content":"b\\ud83d"}}]}')])
    assert folded.completion.text == "ab\ufffd"
    assert folded.completion.quirks == {"lone_surrogate": 1}


def test_row_48_half_a_pair_in_the_arguments_of_a_call_is_not_lost():
    folded = fold(
        [sse(r'{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":"x\ud83d"}}]}}]}')]
    )
    assert folded.completion.tool_calls[0].arguments == "x\ufffd"


@pytest.mark.parametrize(
    "kept",
    [
        {"service_tier": "default"},
        {"obfuscation": "x7"},
        {"x_groq": {"id": "req_1"}},
        {"timings": {"predicted_n": 3}},
        {"citations": ["https://example.org"]},
    ],
)
def test_row_49_what_is_beside_the_choices_is_kept(kept):
    found = decode({**chunk("x"), **kept})
    assert found.text == "x"
    assert {name: found.extra[name] for name in kept} == kept


@pytest.mark.parametrize("kept", [{"annotations": [{"type": "url_citation"}]}, {"audio": {"id": "a", "data": "UklG"}}])
def test_row_49_what_is_in_a_delta_is_kept(kept):
    found = decode(chunk("x", **kept))
    assert found.text == "x"
    assert found.extra["choices"][0]["delta"] == kept


def test_row_49_logprobs_are_kept():
    tokens = [{"token": "x", "logprob": -0.1}]
    logprobs = {"content": tokens, "refusal": None}
    body = {"choices": [{"index": 0, "delta": {"content": "x"}, "logprobs": logprobs}]}
    assert decode(body).choices[0].logprobs == logprobs
    assert fold([sse(body, body)]).completion.choices[0].logprobs == {
        "content": tokens * 2,
        "refusal": None,
    }


def test_row_57_a_whole_answer_in_one_chunk_of_a_stream():
    message = {
        "role": "assistant",
        "content": "hi",
        "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}],
    }
    folded = fold([sse({"choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})])
    assert (folded.completion.text, folded.completion.finish_reason) == ("hi", "tool_calls")
    assert [(call.id, call.name, call.arguments) for call in folded.completion.tool_calls] == [("c", "f", "{}")]


# --- think tags


def test_row_45_think_tags_are_left_alone_unless_asked_for():
    feed = sse(chunk("<think>hm</think>42"))
    assert (fold([feed]).completion.text, fold([feed]).completion.reasoning) == ("<think>hm</think>42", "")


def test_row_45_think_tags_become_reasoning():
    folded = fold(
        [sse(chunk("<thi"), chunk("nk>h"), chunk("m</think"), chunk(">42"), chunk(finish_reason="stop"))],
        think_tags=True,
    )
    assert (folded.completion.reasoning, folded.completion.text) == ("hm", "42")


def test_row_45_what_looked_like_a_tag_is_text_at_the_end_of_the_feed():
    assert fold([sse(chunk("a <thin"))], think_tags=True).completion.text == "a <thin"


def test_row_45_and_48_together_at_the_end_of_the_feed():
    folded = fold([sse(r'{"choices":[{"delta":{"content":"a\ud83d"}}]}', chunk("<"))], think_tags=True)
    assert folded.completion.text == "a\ufffd<"


# --- speed


def test_the_fast_decoder_returns_after_something_odd():
    decoder = ChatDecoder()
    fast = decoder.fast
    decoder.decode(b'{"choices":[{"delta":{"content":"\\ud83d"}}]}')
    with pytest.raises(msgspec.DecodeError):
        decoder.fast(encoded(chunk("x")))
    decoder.decode(b'{"choices":[{"delta":{"content":"\\ude00"}}]}')
    assert decoder.fast is fast


def test_with_think_tags_nothing_is_taken_fast():
    decoder = ChatDecoder(think_tags=True)
    assert decoder.decode(encoded(chunk("x"))).text == "x"
    with pytest.raises(msgspec.DecodeError):
        decoder.fast(encoded(chunk("x")))
