"""Conversations of several rounds as a real server (aimock) held them, recorded by `TapeSink`: a folder each, a tape a request."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import pytest

from streamkit import StreamDriver, load_tape
from streamkit.testing import Fault, completion_server, tape_script
from streamkit.tools import ToolCompletion, ToolStream, run_tools

from .conversation import following, is_grammatical
from .test_aimock_tools import add, get_weather

TAPES = Path(__file__).with_name("tapes")
CONVERSATIONS = {
    "weather": ("Paris 17 °C, Oslo 4 °C.", [2, 0]),
    "chain": ("Together 21 °C.", [2, 1, 0]),
    "mends": ("Paris it is.", [1, 1, 0]),
}


async def played(name: str, *, split: int | None = None) -> tuple[ToolCompletion, list[str]]:
    tapes = [load_tape(path) for path in sorted((TAPES / name).glob("*.sse.jsonl"))]
    server = completion_server(*(tape_script(tape, speed=0, split=split) for tape in tapes))
    async with server, StreamDriver(server.base_url) as driver:
        stream = run_tools(driver, "How warm is it in Paris and Oslo?", [get_weather, add], model=name)
        events = following(stream)
        completion = await stream
    sent = [request.json["messages"] for request in server.requests]
    recorded: list[Any] = [tape.request["body"] for tape in tapes]
    assert sent == [body["messages"] for body in recorded]
    return completion, events


@pytest.mark.parametrize("split", [None, 1, 7])
@pytest.mark.parametrize("name", CONVERSATIONS)
async def test_a_recorded_conversation_goes_the_same_way_in_any_pieces(name: str, split: int | None):
    completion, events = await played(name, split=split)
    text, answers = CONVERSATIONS[name]
    assert completion.text == text
    assert [len(each.answers) for each in completion.rounds] == answers
    assert is_grammatical(events)


def test_there_is_a_tape_for_each_round():
    assert {folder.name for folder in TAPES.iterdir()} == CONVERSATIONS.keys()
    for name, (_, answers) in CONVERSATIONS.items():
        assert len(list((TAPES / name).iterdir())) == len(answers)


@pytest.mark.parametrize("kind", ["cut", "reset"])
async def test_a_conversation_cut_at_every_hundredth_byte_of_its_second_round_keeps_the_first(
    kind: Literal["cut", "reset"],
):
    first, second = (load_tape(path) for path in sorted((TAPES / "weather").glob("*.sse.jsonl")))
    for at in range(0, len(second.body) - len(b"data: [DONE]\n\n") - 1, 100):
        fault = Fault(kind, after_bytes=at)
        server = completion_server(tape_script(first, speed=0), tape_script(second, speed=0, fault=fault))
        async with server, StreamDriver(server.base_url, retries=0) as driver:
            stream: ToolStream = run_tools(driver, "hi", [get_weather], model="weather")
            events = following(stream)
            await stream.start().finished()
            completion = stream.completion
        assert is_grammatical(events), at
        assert [answer.content for answer in completion.rounds[0].answers] == ["17 °C in Paris", "4 °C in Oslo"]
        assert "Paris 17 °C, Oslo 4 °C.".startswith(completion.text)
        whole = completion.ended_by in {"done", "eof"}
        assert len(completion.messages) == (5 if whole else 4)
