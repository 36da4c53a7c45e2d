from __future__ import annotations

import base64
import itertools
import json
import time
import tracemalloc
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, strategies as st

from streamkit.sse import EventTooLarge, ServerSentEvent, SSEDecoder, encode_comment, encode_event

BOM = b"\xef\xbb\xbf"
CASE_FILE = Path(__file__).resolve().parents[2] / "shared" / "sse_cases.json"


def decode(reads: Iterable[bytes], *, lenient: bool = False) -> list[ServerSentEvent]:
    decoder = SSEDecoder(lenient=lenient)
    events = [event for read in reads for event in decoder.feed(read)]
    return events + decoder.close()


def data_of(feed: bytes, *, lenient: bool = False) -> list[str]:
    return [event.data for event in decode([feed], lenient=lenient)]


def one_byte_a_read(feed: bytes) -> list[bytes]:
    return [feed[i : i + 1] for i in range(len(feed))]


# ---------------------------------------------------------------- the oracle


@dataclass
class Oracle:
    """WHATWG HTML 9.2.6 word for word: slow, on the whole text, sharing no code or technique with the decoder."""

    lenient: bool = False
    events: list[ServerSentEvent] = field(default_factory=list)
    data: str = ""
    event_type: str = ""
    id_buffer: str = ""
    block_retry: int | None = None
    last_event_id: str = ""
    retry: int | None = None

    def run(self, feed: bytes) -> Oracle:
        text = feed.decode("utf-8", "replace")
        text = text.removeprefix("\ufeff")
        line, position = "", 0
        while position < len(text):
            char = text[position]
            position += 1
            if char not in "\r\n":
                line += char
                continue
            if char == "\r" and text[position : position + 1] == "\n":
                position += 1
            self.process(line)
            line = ""
        if self.lenient:
            if line:
                self.process(line)
            self.dispatch()
        return self

    def process(self, line: str) -> None:
        if line == "":
            self.dispatch()
        elif line.startswith(":"):
            if self.lenient:
                text = line[2:] if line.startswith(": ") else line[1:]
                self.events.append(ServerSentEvent(comment=text))
        elif ":" in line:
            name, value = line[: line.index(":")], line[line.index(":") + 1 :]
            value = value.removeprefix(" ")
            if name == "error" and self.lenient:
                self.dispatch()
                self.events.append(ServerSentEvent(value, "error", self.last_event_id))
            else:
                self.process_field(name, value)
        else:
            self.process_field(line, "")

    def process_field(self, name: str, value: str) -> None:
        if name == "event":
            self.event_type = value
        elif name == "data":
            self.data += value + "\n"
        elif name == "id":
            if "\0" not in value:
                self.id_buffer = value
        elif name == "retry" and value != "" and all(char in "0123456789" for char in value):
            number = 0
            for char in value:
                number = number * 10 + "0123456789".index(char)
            if number < 10**10:  # streamkit's own bound: the standard has none
                self.retry = self.block_retry = number

    def dispatch(self) -> None:
        self.last_event_id = self.id_buffer
        if self.data != "":
            event_type = self.event_type if self.event_type != "" else "message"
            self.events.append(ServerSentEvent(self.data[:-1], event_type, self.last_event_id, self.block_retry))
        self.data = self.event_type = ""
        self.block_retry = None


# ---------------------------------------------------------------- the shared case file


def shared_cases() -> list[Any]:
    if not CASE_FILE.exists():
        skip = pytest.mark.skip(reason="../shared/sse_cases.json is not part of a clone")
        return [pytest.param({}, id="absent", marks=skip)]
    # "unsure": the case's own word for what the standard leaves open.
    cases = [case for case in json.loads(CASE_FILE.read_text()) if "unsure" not in case]
    return [pytest.param(case, id=case["name"]) for case in cases]


def as_given(case: dict[str, Any]) -> list[bytes]:
    return [base64.b64decode(chunk) for chunk in case["chunks_b64"]]


SPLITS: list[Callable[[list[bytes]], list[bytes]]] = [
    lambda reads: reads,
    lambda reads: [b"".join(reads)],
    lambda reads: one_byte_a_read(b"".join(reads)),
]


@pytest.mark.parametrize("split", SPLITS, ids=["as-given", "joined", "one-byte"])
@pytest.mark.parametrize("case", shared_cases())
def test_shared_case(case: dict[str, Any], split: Callable[[list[bytes]], list[bytes]]) -> None:
    reads = split(as_given(case))
    strict, lenient = SSEDecoder(), SSEDecoder(lenient=True)

    events = [event for read in reads for event in strict.feed(read)]
    items = [event for read in reads for event in lenient.feed(read)] + lenient.close()

    assert strict.close() == []
    assert events == [ServerSentEvent(**event) for event in case["expected"]]
    assert strict.last_event_id == case["final_last_event_id"]
    assert strict.retry == case["final_reconnect_ms"]
    assert [event for event in items if event.comment is None] == [
        ServerSentEvent(**event) for event in case.get("llm_expected", case["expected"])
    ]


# ---------------------------------------------------------------- the examples of the standard


def test_whatwg_example_stocks() -> None:
    assert data_of(b"data: YHOO\ndata: +2\ndata: 10\n\n") == ["YHOO\n+2\n10"]


def test_whatwg_example_four_blocks() -> None:
    feed = b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event"

    first = ServerSentEvent("first event", id="1")
    second = ServerSentEvent("second event", id="")
    assert decode([feed]) == [first, second]
    assert decode([feed], lenient=True) == [
        ServerSentEvent(comment="test stream"),
        first,
        second,
        ServerSentEvent(" third event"),
    ]


def test_whatwg_example_empty_data() -> None:
    assert data_of(b"data\n\ndata\ndata\n\ndata:") == ["", "\n"]


def test_whatwg_example_optional_space() -> None:
    assert data_of(b"data:test\n\ndata: test\n\n") == ["test", "test"]


# ---------------------------------------------------------------- rules, one by one


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("split", SPLITS[1:], ids=["joined", "one-byte"])
def test_line_ends(end: bytes, split: Callable[[list[bytes]], list[bytes]]) -> None:
    lines = [b"data: a", b"data: b", b"", b"data: c", b"", b"event: x", b"data: d", b"", b""]

    events = decode(split([end.join(lines)]))

    assert events == [ServerSentEvent("a\nb"), ServerSentEvent("c"), ServerSentEvent("d", "x")]


@pytest.mark.parametrize(
    ("feed", "expected"),
    [
        (b"data: a\r\r\n\r\ndata: b\n\n", ["a", "b"]),
        (b"data: a\r\n\r\n\r\rdata: b\r\n\n", ["a", "b"]),
        (b"data: a\r\n\r\ndata: b\rdata: c\r\n\r\n", ["a", "b\nc"]),
        (b"data: a\r\rdata: b\r\n\r\n", ["a", "b"]),
        (b"data: a\n\r\ndata: b\r\n\rdata: c\n\n", ["a", "b", "c"]),
    ],
)
def test_mixed_line_ends(feed: bytes, expected: list[str]) -> None:
    assert data_of(feed) == expected


def test_event_that_ends_with_cr_is_returned_at_once() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"data: a\r\r") == [ServerSentEvent("a")]
    assert decoder.feed(b"\ndata: b\r") == []
    assert decoder.feed(b"\n") == []
    assert decoder.feed(b"\r") == [ServerSentEvent("b")]
    assert decoder.feed(b"") == []
    assert decoder.feed(b"\n") == []


@pytest.mark.parametrize("char", ["\u2028", "\u2029", "\x85", "\v", "\f", "\x1c", "\x1e"])
def test_no_other_character_ends_a_line(char: str) -> None:
    assert data_of(f"data: a{char}b\n\n".encode()) == [f"a{char}b"]


@pytest.mark.parametrize("reads", [[BOM], [b"\xef", b"\xbb", b"\xbf"], [b"", b"\xef\xbb", b"", b"\xbf"]])
def test_one_leading_bom_is_dropped(reads: list[bytes]) -> None:
    assert decode([*reads, b"data: a\n\n"]) == [ServerSentEvent("a")]
    assert decode([*reads, BOM, b"data: a\n\n"]) == []
    assert decode([*reads, b"data: a\n\n", BOM, b"data: b\n\ndata: \xef\xbb\xbfc\n\n"]) == [
        ServerSentEvent("a"),
        ServerSentEvent("\ufeffc"),
    ]


@pytest.mark.parametrize("lenient", [False, True])
def test_part_of_a_bom_is_the_start_of_an_ordinary_line(lenient: bool) -> None:
    assert decode([b"\xef\xbb", b"data: a\n\n"], lenient=lenient) == []
    assert decode([b"\xef\xbb"], lenient=lenient) == []


def test_invalid_utf8_is_replaced() -> None:
    # Surrogate bytes are three characters by the maximal-subpart rule, a cut sequence is one.
    assert data_of(b"data: \xed\xa0\x80|\xf0\x9f\x98|\xff\n\n") == ["\ufffd\ufffd\ufffd|\ufffd|\ufffd"]


def test_field_names_are_exact() -> None:
    assert data_of(b"Data: a\ndata : b\n data: c\ndata\x00: d\nerror: e\nfoo\n\n") == []


def test_one_space_is_dropped_and_no_tab() -> None:
    assert data_of(b"data:  a\n\ndata:\ta\n\ndata: a \n\n") == [" a", "\ta", "a "]


def test_last_event_type_wins_and_empty_resets() -> None:
    events = decode([b"event: a\nevent: b\ndata\n\nevent: c\nevent:\ndata\n\nevent: d\n\ndata\n\n"])

    assert [event.event for event in events] == ["b", "message", "message"]


def test_id_is_sticky_and_can_be_cleared() -> None:
    events = decode([b"id: 1\ndata: a\n\ndata: b\n\nid: 2\n\ndata: c\n\nid\ndata: d\n\ndata: e\n\n"])

    assert [(event.data, event.id) for event in events] == [("a", "1"), ("b", "1"), ("c", "2"), ("d", ""), ("e", "")]


def test_id_counts_without_data_and_only_with_its_blank_line() -> None:
    decoder = SSEDecoder()

    assert decoder.feed(b"id: 42\n") == []
    assert decoder.last_event_id == ""
    assert decoder.feed(b"\n") == []
    assert decoder.last_event_id == "42"
    assert decoder.feed(b"id: 43\ndata: lost\n") == []
    assert decoder.close() == []
    assert decoder.last_event_id == "42"


@pytest.mark.parametrize("value", [b"\0", b"x\0", b"\0x", b" \0"])
def test_id_with_nul_is_ignored(value: bytes) -> None:
    assert decode([b"id: 1\nid: " + value + b"\ndata\n\n"]) == [ServerSentEvent(id="1")]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("500", 500),
        ("0", 0),
        ("03000", 3000),
        ("0" * 5000, 0),
        ("0" * 5000 + "7", 7),
        ("9999999999", 9999999999),
        ("10000000000", None),
        ("9" * 5000, None),
        ("", None),
        ("+500", None),
        ("-5", None),
        ("1_0", None),
        (" 500", None),
        ("500 ", None),
        ("5.0", None),
        ("5e2", None),
        ("0x10", None),
        ("\u00b2", None),
        ("\u0665\u0660\u0660", None),
        ("\uff15", None),
    ],
)
def test_retry_is_ascii_digits(value: str, expected: int | None) -> None:
    decoder = SSEDecoder()

    events = decoder.feed(f"retry: {value}\ndata: a\n\n".encode())

    assert events == [ServerSentEvent("a", retry=expected)]
    assert decoder.retry == expected


def test_retry_applies_when_its_line_is_read_and_belongs_to_its_block() -> None:
    decoder = SSEDecoder()

    events = decoder.feed(b"retry: 5\n\ndata: a\n\nretry: 6\ndata: b\n\nretry: 7\nretry: x\n")

    assert events == [ServerSentEvent("a"), ServerSentEvent("b", retry=6)]
    assert decoder.retry == 7


def test_close_makes_ready_for_a_reconnection() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"retry: 9\nid: 1\ndata: a\n\nid: 2\nevent: x\ndata: cut\nda\r")
    decoder.close()

    assert decoder.feed(BOM + b"data: b\n\n") == [ServerSentEvent("b", id="1")]
    assert (decoder.last_event_id, decoder.retry) == ("1", 9)


def test_an_id_without_an_event_shows_on_the_next_connection() -> None:
    decoder = SSEDecoder()
    decoder.feed(b"id: 1\n\n")
    decoder.close()

    assert decoder.feed(b"data: a\n\n") == [ServerSentEvent("a", id="1")]


# ---------------------------------------------------------------- lenient


def test_lenient_returns_comments_in_order() -> None:
    feed = b": ping\n\ndata: a\n:x\ndata: b\n: \n\n:\n:  y"

    assert [(event.comment, event.data) for event in decode([feed], lenient=True)] == [
        ("ping", ""),
        ("x", ""),
        ("", ""),
        (None, "a\nb"),
        ("", ""),
        (" y", ""),
    ]


def test_lenient_error_field_comes_after_what_stands_above_it() -> None:
    feed = b'id: 4\nevent: x\ndata: a\nerror: {"code":500}\n\ndata: [DONE]\n\nerror\n\n'

    assert decode([feed], lenient=True) == [
        ServerSentEvent("a", "x", "4"),
        ServerSentEvent('{"code":500}', "error", "4"),
        ServerSentEvent("[DONE]", id="4"),
    ]


@pytest.mark.parametrize("end", [b"", b"\n", b"\r", b"\r\n"])
def test_lenient_flushes_the_last_event(end: bytes) -> None:
    decoder = SSEDecoder(lenient=True)

    assert decoder.feed(b"data: a\n\nid: 3\ndata: [DONE]" + end) == [ServerSentEvent("a")]
    assert decoder.close() == [ServerSentEvent("[DONE]", id="3")]
    assert decoder.close() == []
    assert decoder.last_event_id == "3"


# ---------------------------------------------------------------- payloads


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("field_name", [b"data: ", b"data:"])
def test_plain_events_are_payloads(field_name: bytes, end: bytes) -> None:
    feed = b"".join(field_name + payload + end * 2 for payload in [b"a", b"\xff", b"", b'{"n":1}'])
    decoder = SSEDecoder()

    assert decoder.feed_payloads(feed) == [b"a", b"\xff", b"", b'{"n":1}']
    assert [item for byte in one_byte_a_read(feed) for item in decoder.feed_payloads(byte)] == [
        b"a",
        b"\xff",
        b"",
        b'{"n":1}',
    ]


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        (b"data: a\ndata: b\n\n", ServerSentEvent("a\nb")),
        (b"event: message\ndata: a\n\n", ServerSentEvent("a")),
        (b"retry: 5\ndata: a\n\n", ServerSentEvent("a", retry=5)),
        (b"id: 1\ndata: a\n\n", ServerSentEvent("a", id="1")),
        (b"id: 1\n\ndata: a\n\n", ServerSentEvent("a", id="1")),
        (b": ping\n", ServerSentEvent(comment="ping")),
        (b"error: e\n\n", ServerSentEvent("e", "error")),
        (b"id: 1\n\nerror: e\n\n", ServerSentEvent("e", "error", "1")),
    ],
)
def test_everything_else_is_an_event(block: bytes, expected: ServerSentEvent) -> None:
    feed = b"data: x\n\n" + block + b"data: y\n\ndata: z\n\n"

    assert SSEDecoder(lenient=True).feed_payloads(feed) == [b"x", expected, b"y", b"z"]


def test_plain_event_after_a_sticky_id_is_a_payload() -> None:
    decoder = SSEDecoder()

    assert decoder.feed_payloads(b"id: 1\ndata: a\n\ndata: b\n\n") == [ServerSentEvent("a", id="1"), b"b"]
    assert decoder.last_event_id == "1"
    assert decoder.feed(b"data: c\n\n") == [ServerSentEvent("c", id="1")]


def test_close_payloads() -> None:
    decoder = SSEDecoder(lenient=True)
    decoder.feed_payloads(b"data: [DONE]")

    assert decoder.close_payloads() == [b"[DONE]"]
    assert SSEDecoder().close_payloads() == []


# ---------------------------------------------------------------- any split of any bytes

FRAGMENTS = [
    *(b"\xef", b"\xbb", b"\xbf", BOM, b"\r", b"\n", b"\r\n", b"\n\n", b"\r\n\r\n", b":", b" ", b"\0", b"\t"),
    *(b"data", b"data:", b"data: ", b"data: a\n\n", b"data: b\r\n\r\n", b"\n\ndata: ", b"Data", b"event: ", b"event"),
    *(
        b"data: c\n",
        b"data:d\r",
        b"event: x\n",
        b"id: 2\n",
        b"id: 3\n\n",
        b"retry: 4\n",
        b"error: e\n",
        b"data: e\n\ndata: f\n\n",
    ),
    *(b"id: ", b"id", b"id: 1\n", b"retry: ", b"retry", b"error: ", b"error", b": ping\n", b"0", b"7", b"+", b"x"),
    *("\U0001f600".encode(), b"\xf0\x9f", b"\x98\x80", b"\xff", b"\xed\xa0\x80", b"\xc2\x85", "\u2028".encode()),
]
# Reads that end where lines and events do take the decoder's short cuts; cuts anywhere else, its detours.
whole_fragments = st.lists(st.lists(st.sampled_from(FRAGMENTS), max_size=6).map(b"".join), max_size=12)


@st.composite
def cut_anywhere(draw: st.DrawFn) -> list[bytes]:
    feed = b"".join(draw(whole_fragments)) or draw(st.binary(max_size=40))
    cuts = sorted(draw(st.lists(st.integers(0, len(feed)), max_size=8)))
    return [feed[start:end] for start, end in zip([0, *cuts], [*cuts, len(feed)], strict=True)]


def split_feeds() -> st.SearchStrategy[list[bytes]]:
    return whole_fragments | cut_anywhere()


BLOCKS = [
    *(b"data: a\n\n", b"data:b\n\n", b"data: c\ndata: d\n\n", b"event: x\ndata: e\n\n", b"retry: 5\ndata: f\n\n"),
    *(b"id: 1\ndata: g\n\n", b"id: 2\n\n", b": ping\n", b": ping\n\n", b"error: h\n\n", b"data: i\r\n\r\n", b"\n"),
]


@pytest.mark.parametrize("lenient", [False, True])
def test_every_cut_between_the_lines_of_three_blocks(lenient: bool) -> None:
    for blocks in itertools.product(BLOCKS, repeat=3):
        feed = b"".join(blocks)
        expected = Oracle(lenient).run(feed).events
        ends = list(itertools.accumulate(map(len, feed.splitlines(keepends=True))))

        for end in ends:
            assert decode([feed[:end], feed[end:]], lenient=lenient) == expected, (feed, end)


@given(split_feeds(), st.booleans())
def test_any_split_gives_what_the_standard_says(reads: list[bytes], lenient: bool) -> None:
    feed = b"".join(reads)
    oracle = Oracle(lenient).run(feed)

    for split in (reads, [feed], one_byte_a_read(feed)):
        decoder = SSEDecoder(lenient=lenient)
        events = [event for read in split for event in decoder.feed(read)] + decoder.close()

        assert events == oracle.events
        assert decoder.last_event_id == oracle.last_event_id
        assert decoder.retry == oracle.retry


@given(split_feeds(), st.booleans())
def test_payloads_and_events_agree(reads: list[bytes], lenient: bool) -> None:
    feed = b"".join(reads)
    events = decode(reads, lenient=lenient)
    by_split = []
    for split in (reads, [feed], one_byte_a_read(feed)):
        decoder = SSEDecoder(lenient=lenient)
        by_split.append([item for read in split for item in decoder.feed_payloads(read)] + decoder.close_payloads())

    assert by_split[0] == by_split[1] == by_split[2]
    assert len(by_split[0]) == len(events)
    shown_id = ""
    for item, event in zip(by_split[0], events, strict=True):
        if isinstance(item, bytes):
            assert ServerSentEvent(item.decode("utf-8", "replace"), id=shown_id) == event
        else:
            assert item == event
        if event.comment is None:
            shown_id = event.id


# ---------------------------------------------------------------- max_event_bytes


def take(reads: Iterable[bytes], limit: int, *, lenient: bool = False) -> tuple[list[ServerSentEvent], bool]:
    """Return the events, and whether the limit was exceeded."""
    decoder = SSEDecoder(lenient=lenient, max_event_bytes=limit)
    events: list[ServerSentEvent] = []
    try:
        for read in reads:
            events += decoder.feed(read)
        events += decoder.close()
    except EventTooLarge:
        return events, True
    return events, False


@given(split_feeds(), st.integers(1, 30), st.booleans())
def test_the_limit_does_not_depend_on_the_split(reads: list[bytes], limit: int, lenient: bool) -> None:
    feed = b"".join(reads)
    events, exceeded = take([feed], limit, lenient=lenient)
    unlimited = decode([feed], lenient=lenient)

    assert take(reads, limit, lenient=lenient) == (events, exceeded)
    assert take(one_byte_a_read(feed), limit, lenient=lenient) == (events, exceeded)
    assert events == unlimited[: len(events)]
    assert exceeded or events == unlimited


def test_events_before_the_oversized_one_come_first() -> None:
    decoder = SSEDecoder(max_event_bytes=20)

    assert decoder.feed(b"data: a\n\ndata: " + b"b" * 20) == [ServerSentEvent("a")]
    for call in (lambda: decoder.feed(b"\n\n"), decoder.close, lambda: decoder.feed_payloads(b"data: c\n\n")):
        with pytest.raises(EventTooLarge, match="max_event_bytes=20"):
            call()


def test_nothing_follows_the_oversized_event() -> None:
    decoder = SSEDecoder(max_event_bytes=20)
    decoder.feed(b"data: 1234567\n")

    with pytest.raises(EventTooLarge):
        decoder.feed(b"data: 12\n\ndata: 3\n\n")


@pytest.mark.parametrize("block", [b"data: 4567890", b"data: 45\ndata:6", b":234567890123", b"id: 56\nevent:7"])
def test_the_limit_is_inclusive(block: bytes) -> None:
    size = len(block.replace(b"\n", b""))

    assert not take([block + b"\n\n"], size)[1]
    assert take([block + b"\n\n"], size - 1)[1]


def test_comments_and_finished_events_do_not_add_up() -> None:
    feed = b": ping\n" * 10 + b"data: a\n\n" * 10 + b"data: b\n" + b": ping\n" * 10 + b"\n"

    assert take([feed], 13) == ([ServerSentEvent("a")] * 10 + [ServerSentEvent("b")], False)


def test_an_endless_line_is_refused_as_soon_as_it_is_too_long() -> None:
    decoder = SSEDecoder(max_event_bytes=1000)
    for _ in range(62):
        assert decoder.feed(b"x" * 16) == []

    with pytest.raises(EventTooLarge) as caught:
        decoder.feed(b"x" * 16)

    assert caught.value.limit == 1000
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize("limit", [0, -1])
def test_a_limit_that_allows_nothing_is_refused(limit: int) -> None:
    with pytest.raises(ValueError, match="max_event_bytes"):
        SSEDecoder(max_event_bytes=limit)


# ---------------------------------------------------------------- linear time and memory


def pieces(unit: bytes, size: int, read_size: int, start: bytes) -> list[bytes]:
    feed = start + unit * (size // len(unit)) + b"\n\n"
    return [feed[i : i + read_size] for i in range(0, len(feed), read_size)]


def cpu_time(reads: list[bytes]) -> float:
    best = float("inf")
    for _ in range(3):
        decoder = SSEDecoder(lenient=True)
        started = time.process_time()
        for read in reads:
            decoder.feed_payloads(read)
        best = min(best, time.process_time() - started)
    return best


@pytest.mark.parametrize("read_size", [16, 1024])
@pytest.mark.parametrize(
    ("unit", "start"),
    [(b"x" * 64, b"data: "), (b"data: x\n", b""), (b": ping\n", b""), (b"data: x\r\n", b""), (b"data: x\r\r", b"")],
    ids=["one-line", "data-lines", "comments", "crlf-data-lines", "cr-events"],
)
def test_time_is_linear(unit: bytes, start: bytes, read_size: int) -> None:
    size = 2**16 if read_size == 16 else 2**19
    small = cpu_time(pieces(unit, size, read_size, start))
    large = cpu_time(pieces(unit, 8 * size, read_size, start))

    # Eight times the input: linear is 8, quadratic 64.
    assert large < 24 * max(small, 0.001)


def test_memory_is_that_of_the_line_even_one_byte_a_read() -> None:
    size = 200_000
    decoder = SSEDecoder()
    decoder.feed(b"data: ")
    tracemalloc.start()
    try:
        for _ in range(size):
            decoder.feed(b"x")
        held, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert held < 2 * size
    assert peak < 4 * size
    assert decoder.feed(b"\n\n") == [ServerSentEvent("x" * size)]


# ---------------------------------------------------------------- encoding


def without(characters: str, **kwargs: Any) -> st.SearchStrategy[str]:
    return st.text(st.characters(codec="utf-8", exclude_characters=characters), **kwargs)


encodable = st.builds(
    ServerSentEvent,
    data=without("\r"),
    event=st.just("message") | without("\r\n", min_size=1),
    id=without("\r\n\0"),
    retry=st.none() | st.integers(0, 10**10 - 1),
)


@given(encodable, st.booleans())
def test_decoding_an_encoded_event_gives_it_back(event: ServerSentEvent, lenient: bool) -> None:
    assert decode([encode_event(event)], lenient=lenient) == [event]


@given(st.lists(without("\r\n").map(lambda text: ServerSentEvent(comment=text)) | encodable.filter(lambda e: e.id)))
def test_encoded_events_and_comments_stand_side_by_side(events: list[ServerSentEvent]) -> None:
    assert decode([b"".join(map(encode_event, events))], lenient=True) == events


@given(st.text(st.sampled_from("\r\na\u2028")))
def test_every_line_end_comes_back_as_lf(data: str) -> None:
    event = ServerSentEvent(data)

    [decoded] = decode([encode_event(event)])

    assert decoded.data == data.replace("\r\n", "\n").replace("\r", "\n")


def test_encoded_bytes() -> None:
    assert encode_event(ServerSentEvent()) == b"data: \n\n"
    assert encode_event(ServerSentEvent(" a\r\nb\rc\n", "x", "7", 0)) == (
        b"event: x\nid: 7\nretry: 0\ndata:  a\ndata: b\ndata: c\ndata: \n\n"
    )


def test_comments_end_without_a_blank_line() -> None:
    assert encode_comment() == b": \n"
    assert encode_comment("a\r\nb\rc") == b": a\n: b\n: c\n"
    assert encode_event(ServerSentEvent(comment="ping")) == b": ping\n"


@pytest.mark.parametrize(
    ("event", "name"),
    [
        (ServerSentEvent(event="a\nb"), "event"),
        (ServerSentEvent(event="\r"), "event"),
        (ServerSentEvent(event=""), "event"),
        (ServerSentEvent(id="\n"), "id"),
        (ServerSentEvent(id="1\r"), "id"),
        (ServerSentEvent(id="\0"), "id"),
        (ServerSentEvent(retry=-1), "retry"),
        (ServerSentEvent(retry=10**10), "retry"),
        (ServerSentEvent("x", comment="y"), "comment"),
    ],
)
def test_what_a_feed_cannot_carry_is_refused_by_name(event: ServerSentEvent, name: str) -> None:
    with pytest.raises(ValueError, match=rf"\b{name}\b"):
        encode_event(event)


def test_lone_surrogate_is_refused() -> None:
    with pytest.raises(UnicodeEncodeError):
        encode_event(ServerSentEvent("\ud83d"))


# ---------------------------------------------------------------- the value object


def test_events_are_immutable_values() -> None:
    event = ServerSentEvent("a")

    assert event == ServerSentEvent("a", "message", "", None, None)
    assert len({event, ServerSentEvent("a")}) == 1
    with pytest.raises(AttributeError):
        event.data = "b"  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]  # it must fail
