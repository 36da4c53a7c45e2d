from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import example, given, strategies as st

from streamkit.errors import TapeError
from streamkit.tape import load_tape, parse_tape
from tests.tape.tapes import HEADERS, seconds, tape_of, write


def test_a_tape_cut_at_any_byte_loads_as_far_as_it_goes() -> None:
    whole = write([(0.1, b"data: 1\n\n"), (0.2, b"\xf0\x9f"), (0.3, "\x8a — é".encode())])
    expected = parse_tape(whole)
    header_size = whole.index(b"\n") + 1

    for size in range(header_size, len(whole)):
        tape = parse_tape(whole[:size])
        last = whole[:size].split(b"\n")[-1]
        lines = whole[:size].count(b"\n") + (last in whole.split(b"\n")[:-1])  # only its line feed is missing

        assert tape.torn is (last != b"" and last not in whole.split(b"\n"))
        assert tape.reads == expected.reads[: max(0, lines - 2)]
        assert tape.ending == ("eof" if size == len(whole) - 1 else None)

    for size in range(1, header_size - 2):
        with pytest.raises(TapeError, match="nothing was recorded|not a tape"):
            parse_tape(whole[:size])


@given(st.binary())
@example(b"\xff\xfe")
@example(b"\0" * 100)
@example(b"[" * 100_000)
@example(b"1" * 10_000)
def test_any_bytes_are_a_tape_or_a_tape_error(data: bytes) -> None:
    for content in (data, tape_of() + data, tape_of(HEADERS) + data, tape_of(HEADERS) + data + b"\n"):
        try:
            tape = parse_tape(content)
        except TapeError as error:
            assert str(error).startswith("tape")
        else:
            assert tape.body == b"".join(read.data for read in tape.reads)


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(st.characters(codec=None)),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(st.tuples(json_values | seconds, st.sampled_from("hdbex") | json_values, json_values) | json_values))
@example([(10**400, "d", "x")])
@example([(1, "d", "\ud800")])
@example([(1, "b", "é")])
def test_any_json_lines_are_a_tape_or_a_tape_error(lines: list[object]) -> None:
    for before in ((), (HEADERS,)):
        try:
            tape = parse_tape(tape_of(*before, *map(json.dumps, lines)))
        except TapeError as error:
            assert str(error).startswith("tape, line ")
        else:
            times = [read.seconds for read in tape.reads]
            assert times == sorted(times) and all(read.data for read in tape.reads)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "answer is empty, not a tape; make a tape with `streamkit record`"),
        (b"\n", "answer is not a tape: its first line is not JSON"),
        (b"\x89PNG\r\n\x1a\n\0\0", "answer is not a tape: its first line is not JSON"),
        (b"Hello\n", "answer is not a tape: its first line is not JSON"),
        (b"data: {}\n\n", "answer is a body of server-sent events, not a tape: it has no header and no times"),
        (b"\xef\xbb\xbf: ping\n\ndata: {}\n\n", "answer is a body of server-sent events"),
        (b'{"version": 2, "width": 80}\n[0.1, "o", "x"]\n', "answer is JSON, but not a tape: its first line lacks"),
        (b"[1]\n", "answer is JSON, but not a tape"),
        (b'{"format": "streamkit-tape", "ver', "answer ends inside its first line: nothing was recorded"),
        (b'{"format": "streamkit-tape"}\n', "answer, line 1: the version is None, not 1"),
        (b'{"format": "streamkit-tape", "version": true}\n', "answer, line 1: the version is True, not 1"),
        (b'{"format": "streamkit-tape", "version": 0}\n', "answer, line 1: the version is 0, not 1"),
        (
            b'{"format": "streamkit-tape", "version": 2, "request": 1}\n[["new"]]\n',
            "answer is a tape of version 2, written by a newer streamkit: upgrade streamkit-asyncio",
        ),
        (b'{"format": "streamkit-tape", "version": 1, "request": 1}\n', 'answer, line 1: "request" is not an object'),
        (b'{"format": "streamkit-tape", "version": 1, "created": 1}\n', 'answer, line 1: "created" is not a string'),
        (tape_of("[0.1, "), "answer, line 2: not JSON; restore the line or delete it"),
        (tape_of("", HEADERS), "answer, line 2: not JSON"),
        (tape_of(HEADERS, "{}"), r"answer, line 3: not a \[seconds, code, payload\] array; mend the line or delete it"),
        (tape_of(HEADERS, '[1, "d"]'), "answer, line 3: not a"),
        (tape_of(HEADERS, '[1, "o", "x"]'), "answer, line 3: unknown code 'o', not one of h, d, b, e"),
        (tape_of(HEADERS, '[-1, "d", "x"]'), "answer, line 3: the seconds are -1, not a finite number of at least 0"),
        (tape_of(HEADERS, '[NaN, "d", "x"]'), "answer, line 3: the seconds are nan, not a finite number"),
        (tape_of(HEADERS, '[1e999, "d", "x"]'), "answer, line 3: the seconds are inf, not a finite number"),
        (tape_of(HEADERS, '["1", "d", "x"]'), "answer, line 3: the seconds are '1', not a finite number"),
        (tape_of(HEADERS, '[true, "d", "x"]'), "answer, line 3: the seconds are True, not a finite number"),
        (tape_of(HEADERS, '[0.05, "d", "x"]'), "answer, line 3: the seconds go back from 0.1 to 0.05"),
        (tape_of(HEADERS, '[1, "d", ""]'), "answer, line 3: a read is a string of at least one character"),
        (tape_of(HEADERS, '[1, "d", 5]'), "answer, line 3: a read is a string of at least one character"),
        (tape_of(HEADERS, '[1, "d", "\\ud83c"]'), "answer, line 3: the text holds half a character"),
        (tape_of(HEADERS, '[1, "b", "%%"]'), "answer, line 3: the bytes are not base64"),
        (tape_of('[1, "d", "x"]'), "answer, line 2: a read before the headers"),
        (tape_of(HEADERS, HEADERS), "answer, line 3: the headers came twice"),
        (tape_of('[1, "h", {"status": 99, "headers": []}]'), "answer, line 2: the headers are not"),
        (tape_of('[1, "h", {"status": 200, "headers": [["a", "b\\r\\nc: d"]]}]'), "answer, line 2: a header is not"),
        (tape_of('[1, "h", {"status": 200, "headers": [["a", "\\ud800"]]}]'), "answer, line 2: a header is not"),
        (tape_of('[1, "e", "eof"]', HEADERS), "answer, line 3: a line after the end"),
        (tape_of('[1, "e", "done"]'), "answer, line 2: the end is 'done', not one of eof, reset, timeout, cancelled"),
        (tape_of('[1, "e", []]'), r"answer, line 2: the end is \[\], not one of"),
    ],
)
def test_what_is_no_tape_gets_a_sentence(content: bytes, message: str) -> None:
    with pytest.raises(TapeError, match=f"^{message}"):
        parse_tape(content, name="answer")


def test_load_tape_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "one.sse.jsonl"
    path.write_bytes(write([(1.0, b"data: 1\n\n")]))

    assert load_tape(path) == load_tape(str(path)) == parse_tape(path.read_bytes())


@pytest.mark.parametrize("name", ["absent.sse.jsonl", "", "nul\0"])
def test_load_tape_names_what_it_cannot_read(name: str, tmp_path: Path) -> None:
    path = f"{tmp_path}/{name}"

    with pytest.raises(TapeError, match=r"^cannot read the tape '.+': .+; check the path$"):
        load_tape(path)
