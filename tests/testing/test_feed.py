from __future__ import annotations

import json

from streamkit.testing import chunk, sse


def test_a_feed_is_made_of_mappings_text_and_bare_bytes() -> None:
    feed = sse({"text": "é — 流"}, "[DONE]", "a\nb", b": ping\n\n", b"data: {broken", done=False)

    assert feed.decode() == 'data: {"text":"é — 流"}\n\ndata: [DONE]\n\ndata: a\ndata: b\n\n: ping\n\ndata: {broken'


def test_a_feed_ends_in_done_unless_told_otherwise() -> None:
    assert sse() == b"data: [DONE]\n\n"
    assert sse(done=False) == b""


def test_a_feed_can_carry_half_a_character() -> None:
    assert sse("\ud83c", done=False) == b"data: \xed\xa0\xbc\n\n"


def test_a_chunk_has_what_openai_sends() -> None:
    assert chunk("Hi", role="assistant", index=1) == {
        "id": "chatcmpl-streamkit",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "streamkit-test",
        "choices": [{"index": 1, "delta": {"role": "assistant", "content": "Hi"}, "finish_reason": None}],
    }
    assert json.loads(json.dumps(chunk())) == chunk()


def test_a_chunk_without_text_has_no_content() -> None:
    assert chunk(finish_reason="stop")["choices"] == [{"index": 0, "delta": {}, "finish_reason": "stop"}]
    assert chunk("")["choices"] == [{"index": 0, "delta": {"content": ""}, "finish_reason": None}]


def test_usage_alone_is_a_chunk_without_choices() -> None:
    usage = {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}

    assert chunk(usage=usage)["choices"] == [] and chunk(usage=usage)["usage"] == usage
    assert chunk(finish_reason="stop", usage=usage)["choices"] != []
    assert chunk("x", usage=usage)["choices"] != []
    assert "usage" not in chunk("x")
