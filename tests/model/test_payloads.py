from __future__ import annotations

import json
import pickle

import msgspec
import pytest

from streamkit.errors import ConnectionLost
from streamkit.model import (
    Choice,
    Chunk,
    ChunkChoice,
    Completion,
    Connected,
    Delta,
    Event,
    FunctionFragment,
    Heartbeat,
    Message,
    Read,
    Retry,
    Stall,
    StreamStart,
    StreamWarning,
    Timings,
    ToolCall,
    ToolCallDelta,
    ToolCallFragment,
    Usage,
)
from streamkit.wire.chat import ChatDecoder


def chunk_of(body: object) -> Chunk:
    return Chunk(raw=json.dumps(body).encode())


OBJECTS = [
    FunctionFragment("f", "{}"),
    ToolCallFragment(0, "1", "function", FunctionFragment("f")),
    Delta(content="x"),
    ChunkChoice(0, Delta(content="x")),
    Usage(1, 2, 3),
    Chunk((ChunkChoice(),), raw=b"{}"),
    ToolCall("1", "f"),
    Message(content="x"),
    Choice(),
    Timings(),
    Completion(id="c"),
    StreamStart({"messages": []}, "m", 1.0),
    Connected(200, {}),
    Read(b"x", 1.0),
    ToolCallDelta(0, "1", "f", "{}"),
    StreamWarning("kind", "detail"),
    Heartbeat("ping", 1.0),
    Stall(1.0, 2.0),
    Event("text", "x", 1.0),
]


def named(value: object) -> str:
    return type(value).__name__


@pytest.mark.parametrize("value", OBJECTS, ids=named)
def test_what_a_listener_gets_does_not_change(value):
    with pytest.raises(AttributeError, match="immutable"):
        setattr(value, value.__struct_fields__[0], None)
    assert not hasattr(value, "__dict__")


@pytest.mark.parametrize("value", OBJECTS, ids=named)
def test_what_a_listener_gets_is_pickled_by_value(value):
    assert pickle.loads(pickle.dumps(value)) == value


def test_a_decoded_chunk_is_pickled_with_its_extra():
    chunk = ChatDecoder().decode(b'{"choices":[{"delta":{"content":"hi"}}],"p":1}')
    copy = pickle.loads(pickle.dumps(chunk))
    assert (copy.text, copy.extra, copy == chunk) == ("hi", {"p": 1}, True)


def test_a_completion_is_written_as_json():
    completion = Completion(
        choices=(Choice(message=Message(content="hi", tool_calls=(ToolCall("1", "f"),))),), usage=Usage(1)
    )
    copy = json.loads(msgspec.json.encode(completion))
    assert copy["choices"][0]["message"]["content"] == "hi"
    assert copy["usage"]["prompt_tokens"] == 1


def test_prompts_and_headers_stay_out_of_reprs():
    start = StreamStart({"messages": [{"role": "user", "content": "secret"}]}, "m", 1.0)
    connected = Connected(200, {"set-cookie": "secret"}, "req_1", 2)
    assert repr(start) == "StreamStart(model='m', at=1.000)"
    assert repr(connected) == "Connected(status=200, request_id='req_1', attempt=2)"


def test_a_retry_holds_the_error():
    error = ConnectionLost("cut")
    assert Retry(1, 0.5, error).error is error
