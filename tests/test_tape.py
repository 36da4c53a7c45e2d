from __future__ import annotations

import datetime as dt
import io
import itertools
import json
import stat
import sys
from pathlib import Path
from typing import cast

import pytest
from hypothesis import example, given, settings, strategies as st

from streamkit.errors import TapeError
from streamkit.tape import Ending, Tape, TapeRead, TapeWriter, demo_tape, load_tape, parse_tape
from streamkit.tape.redaction import Redactor, is_secret_name

HEADER = '{"format": "streamkit-tape", "version": 1}'
HEADERS = '[0.1, "h", {"status": 200, "headers": [["content-type", "text/event-stream"]]}]'
CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

ENDINGS: list[Ending] = ["eof", "reset", "timeout", "cancelled"]
seconds = st.floats(min_value=0, max_value=1e6, allow_nan=False)
read_lists = st.lists(st.tuples(seconds, st.binary(min_size=1) | st.text(min_size=1).map(str.encode)))


def tape_of(*lines: str) -> bytes:
    return "".join(line + "\n" for line in (HEADER, *lines)).encode()


def write(reads: list[tuple[float, bytes]], *, secrets: tuple[str, ...] = (), ending: Ending | None = "eof") -> bytes:
    file = io.BytesIO()
    with TapeWriter(file, secrets=secrets, created=CREATED) as writer:
        writer.headers(200, [("content-type", "text/event-stream")], 0.0)
        now = 0.0
        for now, data in reads:
            writer.read(data, now)
        if ending is not None:
            writer.end(ending, now)
    return file.getvalue()


# ------------------------------------------------------------------------------------------------- the demo tape


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


# ------------------------------------------------------------------------------------------------------- reading


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


# ------------------------------------------------------------------------------------------------------- writing


@given(read_lists, st.sampled_from(ENDINGS))
@example([(0.0, "a\u2028b\x85c\u2029d\x0b\0".encode())], "eof")
@example([(0.0, b"\xff"), (1e-07, b"\xf0\x9f"), (0.3333333333, b"\x8c\x8a")], "reset")
def test_what_is_written_loads_the_same(reads: list[tuple[float, bytes]], ending: Ending) -> None:
    reads = sorted(reads, key=lambda read: read[0])

    content = write(reads, ending=ending)
    tape = parse_tape(content)

    assert tape.reads == tuple((round(at, 6), data) for at, data in reads)
    assert tape.ending == ending and tape.created == "2026-01-01T00:00:00+00:00"
    assert len(content.decode().splitlines()) == len(reads) + 3  # whatever a reader takes for a line end


def test_utf8_is_written_as_text_and_other_bytes_as_base64() -> None:
    lines = write([(0.25, "é".encode()), (0.5, b"\xc3"), (0.75, b"\xa9")]).decode().splitlines()

    assert lines[2:5] == ['[0.25, "d", "é"]', '[0.5, "b", "ww=="]', '[0.75, "b", "qQ=="]']


def test_each_line_is_in_the_file_when_the_call_returns(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    sizes = []
    writer = TapeWriter.open(path)

    def note() -> None:
        content = path.read_bytes()
        assert content.endswith(b"\n")
        sizes.append(content.count(b"\n"))

    note()
    writer.headers(200, {"content-type": "text/event-stream"}, 0.1)
    note()
    writer.read(b"", 0.2)
    note()
    writer.read(b"x", 0.2)
    note()
    writer.end("timeout", 0.3)
    note()
    writer.close()
    writer.close()

    assert sizes == [1, 2, 2, 3, 4]
    assert load_tape(path).headers == (("content-type", "text/event-stream"),)


def test_a_writer_left_by_an_exception_leaves_a_tape_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"

    with pytest.raises(ZeroDivisionError), TapeWriter.open(path) as writer:
        writer.headers(200, [], 0.1)
        writer.read(b"x", 0.2)
        _ = 1 / 0

    assert load_tape(path).body == b"x" and load_tape(path).ending is None


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such modes")
def test_only_the_owner_may_read_a_tape(tmp_path: Path) -> None:
    path, old = tmp_path / "a.sse.jsonl", tmp_path / "old.sse.jsonl"
    old.write_text("x" * 1000)
    old.chmod(0o644)

    TapeWriter.open(path).close()
    TapeWriter.open(old, overwrite=True).close()

    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(old.stat().st_mode) == 0o600
    assert load_tape(old).status is None


def test_a_tape_is_not_overwritten_unasked(tmp_path: Path) -> None:
    path = tmp_path / "a.sse.jsonl"
    path.write_text("precious")

    with pytest.raises(TapeError, match=r"a\.sse\.jsonl exists; choose another name, or ask to overwrite it"):
        TapeWriter.open(path)
    assert path.read_text() == "precious"


def test_a_place_that_cannot_hold_a_tape_is_named(tmp_path: Path) -> None:
    with pytest.raises(TapeError, match="cannot make .*absent.*: its folder does not exist; make it first"):
        TapeWriter.open(tmp_path / "absent" / "a.sse.jsonl")
    with pytest.raises(TapeError, match="cannot make '.*': .+; choose another place"):
        TapeWriter.open(tmp_path, overwrite=True)
    with pytest.raises(TapeError, match="choose another place"):
        TapeWriter.open("nul\0")


def test_a_request_that_is_no_json_leaves_no_open_file(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="not JSON serializable"):
        TapeWriter.open(tmp_path / "a.sse.jsonl", request={"body": b"bytes"})


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full: Linux has one")
def test_a_disk_full_from_the_start_is_a_tape_error() -> None:
    with pytest.raises(TapeError, match="cannot go on writing /dev/full: No space left on device"):
        TapeWriter.open("/dev/full", overwrite=True)


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of a file")
def test_a_disk_that_fills_up_leaves_a_tape_that_says_where_it_ends(tmp_path: Path) -> None:
    import resource

    path = tmp_path / "a.sse.jsonl"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with TapeWriter.open(path) as writer:
        writer.headers(200, [], 0.1)
        writer.read(b"x" * 1000, 0.2)
        resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + 100, hard))
        try:
            with pytest.raises(TapeError, match=r"cannot go on writing .*: File too large; the tape ends 0\.3 s after"):
                writer.read(b"y" * 1000, 0.3)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with pytest.raises(ValueError, match="after its headers and before its end"):
            writer.read(b"z", 0.4)

    tape = load_tape(path)
    assert tape.body == b"x" * 1000 and tape.torn and tape.ending is None


def test_a_tape_is_written_in_its_order() -> None:
    writer = TapeWriter(io.BytesIO())
    with pytest.raises(ValueError, match="after its headers"):
        writer.read(b"x", 0.0)
    writer.headers(200, [], 0.5)
    with pytest.raises(ValueError, match="once"):
        writer.headers(200, [], 0.5)
    with pytest.raises(ValueError, match=r"from 0\.5 to 0\.25: use a monotonic clock"):
        writer.read(b"x", 0.25)
    for nonsense in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="finite and at least 0, not"):
            writer.read(b"x", nonsense)
    with pytest.raises(ValueError, match="no such ending of a tape: 'fin'; use one of eof, reset, timeout, cancelled"):
        writer.end(cast("Ending", "fin"), 1.0)
    writer.end("eof", 1.0)
    with pytest.raises(ValueError, match="once"):
        writer.end("eof", 1.0)


# ----------------------------------------------------------------------------------------------------- redaction

CANARY = "sk-canary/0123456789"


def test_a_secret_is_in_no_line_of_a_tape() -> None:
    file = io.BytesIO()
    request = {
        "method": "POST",
        "url": f"https://user:hunter2@host/v1/chat/completions?api-version=1&api-key={CANARY}&q=sk-canary%2F0123456789",
        "headers": {
            "Authorization": f"Bearer {CANARY}",
            "X-Api-Key": "k1",
            "x-trace": f"a {CANARY} b",
            "accept": "*/*",
        },
        "body": {
            "model": "m",
            "max_tokens": 5,
            "messages": [{"role": "user", "content": f"my key is {CANARY}"}],
            "user_token": "k2",
            "metadata": {"secrets": ["k3"], CANARY: 1, "client_secret": None},
        },
    }

    with TapeWriter(file, request=request, secrets=[CANARY, ""]) as writer:
        writer.headers(401, [("Set-Cookie", "k4"), ("x-echo", CANARY), ("x-ratelimit-remaining-tokens", "7")], 0.1)
        writer.read(f"bad key {CANARY}, ".encode(), 0.2)
        writer.read(json.dumps({"key": CANARY}).encode(), 0.3)
        writer.end("eof", 0.3)
    tape = parse_tape(file.getvalue())
    body = tape.request["body"]

    assert b"canary" not in file.getvalue() and b"hunter2" not in file.getvalue()
    assert not any(f'"k{n}"'.encode() in file.getvalue() for n in range(1, 5))
    assert tape.request["url"] == "https://***@host/v1/chat/completions?api-version=1&api-key=***&q=***"
    assert tape.request["headers"] == {
        "Authorization": "***",
        "X-Api-Key": "***",
        "x-trace": "a *** b",
        "accept": "*/*",
    }
    assert body == {
        "model": "m",
        "max_tokens": 5,
        "messages": [{"role": "user", "content": "my key is ***"}],
        "user_token": "***",
        "metadata": {"secrets": "***", "***": 1, "client_secret": None},
    }
    assert tape.headers == (("Set-Cookie", "***"), ("x-echo", "***"), ("x-ratelimit-remaining-tokens", "7"))
    assert tape.body == b"bad key ********************, " + b'{"key": "********************"}'


@given(
    st.lists(st.sampled_from(["sk-", "aaaa", "aaaab", "sk-aaaab", "b", "data: ", "\n\n"]), min_size=1),
    st.lists(st.integers(0, 60), max_size=8),
)
def test_a_secret_split_over_reads_is_hidden_and_nothing_else_changes(parts: list[str], cuts: list[int]) -> None:
    secrets = ("sk-aaaab", "aaaaaaab")
    body = "".join(parts).encode()
    at = sorted({0, len(body), *(cut for cut in cuts if cut < len(body))})
    reads = [(float(n), body[start:end]) for n, (start, end) in enumerate(itertools.pairwise(at))]

    tape = parse_tape(write(reads, secrets=secrets))

    assert [(read.seconds, len(read.data)) for read in tape.reads] == [(now, len(data)) for now, data in reads]
    assert tape.body == Redactor(secrets).data(body)
    assert not any(secret.encode() in tape.body for secret in secrets)


@pytest.mark.parametrize("ending", ["end", "close"])
def test_a_read_kept_back_is_written_in_the_end(ending: str) -> None:
    file = io.BytesIO()
    writer = TapeWriter(file, secrets=["sk-canary"])
    writer.headers(200, [], 0.0)
    writer.read(b"task", 1.0)
    writer.read(b": sk-", 2.0)
    assert parse_tape(file.getvalue()).body == b"task"

    writer.end("reset", 3.0) if ending == "end" else writer.close()

    assert parse_tape(file.getvalue()).reads == ((1.0, b"task"), (2.0, b": sk-"))


@settings(deadline=2000)
@given(st.integers(1, 3))
def test_holding_back_is_linear(size: int) -> None:
    """A feed whose every byte might begin the secret: no more than a secret's length is ever kept."""
    file = io.BytesIO()
    writer = TapeWriter(file, secrets=["a" * 50 + "b"])
    writer.headers(200, [], 0.0)
    for _ in range(2000):
        writer.read(b"a" * size, 0.0)

    kept = 2000 * size - len(parse_tape(file.getvalue()).body)
    assert 0 < kept <= 50 + size


def test_a_word_that_local_servers_take_for_a_key_is_left_in_the_answer() -> None:
    assert parse_tape(write([(0.0, b"none of them")], secrets=("none",))).body == b"none of them"


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        *(
            (name, True)
            for name in ("authorization", "Api-Key", "X-API-KEY", "proxy-authorization", "Cookie", "set-cookie")
        ),
        *(
            (name, True)
            for name in ("access_token", "accesstoken", "clientSecret", "AWSSecretKey", "password", "x-auth")
        ),
        *(
            (name, False)
            for name in ("max_tokens", "maxTokens", "completion_tokens", "model", "monkey", "author", "keyboard")
        ),
    ],
)
def test_names_of_secrets(name: str, secret: bool) -> None:
    assert is_secret_name(name) is secret
