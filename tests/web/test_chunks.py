from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit import Chunk, Usage
from streamkit.web.chunks import chunk_json, usage_json
from streamkit.wire.chat import ChatDecoder


def decoded(data: bytes, **settings: Any) -> Chunk:
    return ChatDecoder(**settings).decode(data)


FAITHFUL = [
    b'{"choices":[{"delta":{"function_call":{"name":"f","arguments":"{}"}}}]}',
    b'{"choices":[{"delta":{"reasoning":"a","reasoning_details":[{"text":"a"}]},"native_finish_reason":null}],"provider":"p"}',
    b'{"id":"c1","choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":null}],"vendor":{"a":[1,2.50]}}',
    b'{ "choices" : [ { "delta" : { "content" : "h\\u00e9" } } ] }',
    b'{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3,"details":{"x":1}}}',
    b'{"choices":[],"prompt_filter_results":[{"prompt_index":0}]}',
    b'{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-0.1}]}}]}',
    b'{"choices":[{"index":1,"delta":{"reasoning_content":"hm"}}]}',
    b'{"choices":[{"index":0,"delta":{"tool_calls":[{"index":0,"id":"c","type":"function","function":{"name":"f","arguments":""}}]}}]}',
    b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"x_groq":{"usage":{"total_tokens":5}}}',
    '{"choices":[{"index":0,"delta":{"content":"\u2028😀\x7f"}}]}'.encode(),
]


@pytest.mark.parametrize("data", FAITHFUL)
def test_what_needs_no_mending_is_kept_byte_for_byte(data: bytes):
    assert chunk_json(decoded(data)) == data


MENDED: list[tuple[bytes, dict[str, Any]]] = [
    (b'{"choices":[{"delta":{"content":[{"type":"text","text":"hi"}]}}]}', {"content": "hi"}),
    (b'{"choices":[{"message":{"content":"hi"}}]}', {"content": "hi"}),
    (b'{"choices":[{"text":"hi"}]}', {"content": "hi"}),
    (b'{"choices":[{"delta":{"content":"h\xff"}}]}', {"content": "h\ufffd"}),
    (
        b'{"choices":[{"delta":{"tool_calls":[{"function":{"name":"f","arguments":{"a":1}}}]}}]}',
        {"tool_calls": [{"index": 0, "function": {"name": "f", "arguments": '{"a": 1}'}}]},
    ),
    (
        b'{"choices":[{"delta":{"function_call":{"name":"f","arguments":{"a":1},"x":2}}}]}',
        {"function_call": {"name": "f", "arguments": '{"a": 1}', "x": 2}},
    ),
]


@pytest.mark.parametrize(("data", "delta"), MENDED)
def test_what_was_mended_is_written_anew(data: bytes, delta: dict[str, Any]):
    said = json.loads(chunk_json(decoded(data)))
    assert said["object"] == "chat.completion.chunk"
    assert said["choices"][0]["delta"] == delta


def test_what_stands_beside_what_was_mended_is_kept():
    data = (
        b'{"p":1,"choices":[{"x":null,"delta":{"content":null,"y":2,"tool_calls":[{"z":3,"function":{"name":"f"}}]}}]}'
    )
    said = json.loads(chunk_json(decoded(data)))
    assert (said["p"], said["choices"][0]["x"]) == (1, None)
    call = {"z": 3, "index": 0, "function": {"name": "f"}}
    assert said["choices"][0]["delta"] == {"content": None, "y": 2, "tool_calls": [call]}


def test_think_tags_that_were_split_off_are_reasoning_for_clients_too():
    chunk = decoded(b'{"id":"c","choices":[{"delta":{"content":"<think>hm</think>so"}}]}', think_tags=True)
    assert json.loads(chunk_json(chunk))["choices"][0]["delta"] == {"reasoning_content": "hm", "content": "so"}


def test_invalid_utf8_in_a_field_that_nobody_reads_does_not_reach_a_client():
    said = json.loads(chunk_json(decoded(b'{"choices":[{"delta":{"content":"hi"}}],"x":"\xff"}')).decode())
    assert said["x"] == "\ufffd"


def test_halves_of_a_surrogate_pair_in_two_chunks_come_out_whole():
    decoder = ChatDecoder()
    halves = [decoder.decode(b'{"choices":[{"delta":{"content":"%b"}}]}' % half) for half in (b"a\\ud83d", b"\\ude00b")]
    texts = [decoded(chunk_json(chunk)).text for chunk in halves]
    assert "".join(texts) == "a😀b"


@pytest.mark.parametrize(
    "error",
    [
        b'"error":{"message":"sk-secret"}',
        b'"error":"boom","code":"sk-secret"',
        b'"x_groq":{"error":"sk-secret"}',
    ],
)
def test_an_error_beside_a_chunk_is_left_to_the_end(error: bytes):
    chunk = decoded(b'{"choices":[{"delta":{"content":"hi"}}],%b}' % error)
    assert chunk.error is not None
    line = chunk_json(chunk)
    assert b"secret" not in line
    assert json.loads(line)["choices"][0]["delta"] == {"content": "hi"}


def test_json_over_several_lines_becomes_one_line_with_the_same_meaning():
    data = b'{"choices": [\n {"delta": {"content": "a\\nb"}}\n],\r\n "x": 1.50}'
    line = chunk_json(decoded(data))
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == json.loads(data)


def test_numbers_that_json_does_not_have_are_left_out():
    chunk = decoded(
        b'{"choices":[{"delta":{"content":"a"},"logprobs":{"content":[{"token":"a","logprob":-Infinity}]}}]}'
    )
    said = json.loads(chunk_json(chunk), parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert said["choices"][0]["logprobs"] == {"content": [{"token": "a", "logprob": None}]}


@settings(max_examples=300, deadline=None)
@given(st.text(), st.sampled_from(["content", "reasoning_content", "refusal"]))
def test_any_text_survives_in_a_record(text: str, field: str):
    data = json.dumps({"choices": [{"index": 0, "delta": {field: text}}]}).encode()
    line = chunk_json(decoded(data))
    assert b"\n" not in line
    again = decoded(line).choices[0].delta
    first = decoded(data).choices[0].delta
    assert again is not None
    assert first is not None
    assert (again.content, again.reasoning, again.refusal) == (first.content, first.reasoning, first.refusal)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
DELTAS = st.dictionaries(
    st.sampled_from(["content", "refusal", "reasoning", "tool_calls", "role", "x"]), JSON, max_size=4
)
CHUNKS = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "usage": JSON,
        "x_groq": JSON,
        "choices": st.lists(
            st.fixed_dictionaries({"delta": DELTAS | JSON}, optional={"index": JSON, "finish_reason": JSON}), max_size=2
        ),
    },
)


@settings(max_examples=300, deadline=None)
@given(CHUNKS)
def test_whatever_a_server_sends_a_record_says_what_was_decoded(body: dict[str, Any]):
    chunk = decoded(json.dumps(body).encode())
    line = chunk_json(chunk)
    assert b"\n" not in line
    quirks: Counter[str] = Counter()
    again = ChatDecoder(quirks=quirks).decode(line)
    assert again.text == chunk.text
    assert again.usage == chunk.usage
    assert [choice.finish_reason for choice in again.choices] == [choice.finish_reason for choice in chunk.choices]
    assert not quirks or line == json.dumps(body).encode()


def test_usage_keeps_the_details_and_no_number_that_json_lacks():
    usage = usage_json(Usage(1, None, 3, extra={"cost": float("nan"), "details": {"cached": 1}}))
    assert usage == {
        "prompt_tokens": 1,
        "completion_tokens": None,
        "total_tokens": 3,
        "cost": None,
        "details": {"cached": 1},
    }
