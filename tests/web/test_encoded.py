from __future__ import annotations

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web import LogGap, Record, StreamEnd, encoding
from streamkit.web.encode import EncodingName
from streamkit.web.encoded import PIECE_BYTES, Encoded, Piece

from .scripted import chunk_record


def encoded_of(*texts: str, name: EncodingName = "guide") -> Encoded:
    encoded = Encoded(encoding(name, "s"))
    encoded.add([chunk_record(seq, text) for seq, text in enumerate(texts, 1)])
    return encoded


def read(encoded: Encoded, place: int = 0) -> bytes:
    body = b""
    while place < len(encoded.frames):
        piece, place = encoded.pending(place)
        assert piece.data
        body += piece.data
    return body


def test_a_piece_is_framed_as_a_chunk_once():
    piece = Piece(b"x" * 26)
    assert piece.chunk == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert piece.chunk is piece.chunk


def test_those_who_stand_at_the_same_place_get_the_very_same_bytes():
    encoded = encoded_of("a", "b", "c")
    first, place = encoded.pending(1)
    second, _ = encoded.pending(1)
    assert first is second
    assert place == 3
    encoded.add([chunk_record(4, "d")])
    third, place = encoded.pending(1)
    assert third is not first
    assert place == 4


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(max_size=5) | st.just("x" * (PIECE_BYTES // 3)), max_size=9), st.integers(0, 9), st.data())
def test_whoever_reads_in_whatever_steps_reads_the_same(texts: list[str], start: int, data: st.DataObject):
    encoded = Encoded(encoding("guide", "s"))
    places, bodies = [0, None], [b"", b""]
    for seq, text in enumerate(texts, 1):
        encoded.add([chunk_record(seq, text)])
        for reader, place in enumerate(places):
            if place is None and seq >= start:
                places[reader] = place = 0
            if place is not None and data.draw(st.booleans()):
                piece, places[reader] = encoded.pending(place)
                bodies[reader] += piece.data
    whole = b"".join(encoded.frames)
    assert encoded.total == len(whole)
    for place, body in zip(places, bodies, strict=True):
        assert body + read(encoded, place or 0) == whole


def test_a_long_replay_comes_in_pieces_of_bounded_size():
    encoded = encoded_of(*["x" * 1000] * 300)
    place, sizes = 0, []
    while place < len(encoded.frames):
        piece, place = encoded.pending(place)
        sizes.append(len(piece.data))
    assert max(sizes) <= PIECE_BYTES
    assert len(sizes) < 8
    assert sum(sizes) == encoded.total


def test_one_frame_larger_than_a_piece_goes_out_whole():
    encoded = encoded_of("a", "x" * 2 * PIECE_BYTES, "b")
    assert read(encoded) == b"".join(encoded.frames)


def test_cursors_count_records_though_some_say_nothing():
    encoded = encoded_of("a", "", "c", name="native")
    assert [encoded.place_after(seq) for seq in (0, 1, 2, 3)] == [0, 1, 1, 2]
    encoded.add([LogGap(4, 6), chunk_record(7, "d")])
    assert [encoded.place_after(seq) for seq in (3, 5, 6, 7)] == [2, 2, 3, 4]


def test_a_cursor_ahead_of_what_is_known_waits_for_what_comes_after_it():
    encoded = encoded_of("a", name="native")
    assert encoded.place_after(3) is None
    encoded.add([chunk_record(2), chunk_record(3)])
    assert encoded.place_after(3) == 3
    encoded.add([chunk_record(4)])
    assert encoded.place_after(3) == 3


def test_whoever_comes_late_gets_the_ending_whatever_the_cursor():
    encoded = encoded_of("a", name="native")
    encoded.finish(StreamEnd("done"), 2)
    for cursor in (1, 2, 99):
        place = encoded.place_after(cursor)
        assert place is not None
        assert b"event: end" in read(encoded, place)


def test_the_first_ending_counts():
    encoded = encoded_of("a")
    encoded.add([Record(2, "end", StreamEnd("done").encode())])
    encoded.finish(StreamEnd("error"), 3)
    assert encoded.end == StreamEnd("done")
    assert len(encoded.frames) == 2


@pytest.mark.parametrize("name", ["plain", "guide"])
def test_an_empty_stream_ends(name: EncodingName):
    encoded = encoded_of(name=name)
    encoded.finish(StreamEnd("done"), 1)
    assert encoded.place_after(0) == 0
