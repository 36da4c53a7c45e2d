from __future__ import annotations

import itertools
import json

import pytest

from streamkit.tape import Tape, TapeRead, demo_tape, parse_tape


def test_demo_tape_is_a_plausible_answer() -> None:
    tape = demo_tape()

    events = tape.body.split(b"\n\n")
    chunks = [json.loads(event.removeprefix(b"data: ")) for event in events[:-2]]
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks[:-1])
    gaps = [after.seconds - before.seconds for before, after in itertools.pairwise(tape.reads)]

    assert events[-2:] == [b"data: [DONE]", b""]
    assert text.startswith("A stream is a letter") and text.endswith("hears it once.")
    assert {"流", "🌊", "é"} <= set(text) and "\n\n" in text
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["completion_tokens"] == len(chunks) - 2  # with the token that ends it, without the role
    assert all(250 <= len(event) <= 330 for event in events[:-3])
    assert any(read.data.count(b"data: ") == 2 for read in tape.reads)
    assert 0.3 < tape.reads[1].seconds < 0.4
    assert all(gap < 0.05 for gap in gaps)
    assert tape.duration < 6 and tape.ending == "eof" and not tape.torn


def test_demo_tape_has_a_read_that_ends_inside_a_character() -> None:
    with pytest.raises(UnicodeDecodeError):
        for read in demo_tape().reads:
            read.data.decode()


def test_a_tape_says_what_was_recorded() -> None:
    tape = parse_tape(
        '{"format": "streamkit-tape", "version": 1, "created": "2026-01-01", "request": {"method": "POST"}, "new": 1}\n'
        '[0.1, "h", {"status": 429, "headers": [["a", "1"], ["a", "2"]]}]\n'
        '[0.5, "d", "na\\u00efve"]\n[1, "b", "w6k="]\n[2, "e", "reset"]\n'
    )

    assert tape == Tape(
        status=429,
        headers=(("a", "1"), ("a", "2")),
        headers_at=0.1,
        reads=(TapeRead(0.5, "naïve".encode()), TapeRead(1.0, "é".encode())),
        ending="reset",
        ended_at=2.0,
        request={"method": "POST"},
        created="2026-01-01",
    )
    assert tape.body == "naïveé".encode() and tape.duration == 2


def test_repr_shows_no_answer_and_no_prompt() -> None:
    tape = Tape(status=200, reads=(TapeRead(1.0, b"answer"),), request={"body": "prompt"}, torn=True)

    assert repr(tape) == "<Tape: status 200, 1 reads, 6 bytes, 1 s, no end, torn>"
