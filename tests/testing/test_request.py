from __future__ import annotations

import itertools
import json

import pytest
from hypothesis import example, given, strategies as st

from streamkit.testing.request import BadRequestError, ReceivedRequest, RequestReader

LENGTH = b'POST /v1/x?api-version=1 HTTP/1.1\r\nHost: a\r\nAccept: x\r\nContent-LENGTH:  7 \r\naccept: y\r\n\r\n{"a":1}'
CHUNKED = b'PUT / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n4;ext=1\r\n":1}\r\n0\r\ntrailer: 1\r\n\r\n'
BARE = b"GET / HTTP/1.1\r\n\r\n"


def read_all(reader: RequestReader, data: bytes) -> list[ReceivedRequest]:
    reader.feed(data)
    requests = []
    while (request := reader.next_request()) is not None:
        requests.append(request)
    return requests


@given(st.lists(st.integers(0, len(LENGTH + CHUNKED + BARE))))
@example(list(range(len(LENGTH + CHUNKED + BARE))))
def test_any_split_gives_the_same_requests(cuts: list[int]) -> None:
    whole = LENGTH + CHUNKED + BARE
    at = [0, *sorted(cuts), len(whole)]
    reader = RequestReader()

    pieces = [whole[start:end] for start, end in itertools.pairwise(at)]
    first, second, third = (request for piece in pieces for request in read_all(reader, piece))

    assert (first.method, first.path) == ("POST", "/v1/x?api-version=1")
    assert first.headers == {"host": "a", "accept": "x, y", "content-length": "7"}
    assert first.json == second.json == {"a": 1}
    assert (third.method, third.body) == ("GET", b"")


@given(st.binary())
@example(b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n")
@example(b"x" * 70_000)
def test_any_bytes_are_a_request_or_a_bad_request(data: bytes) -> None:
    for before in (b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n"):
        try:
            read_all(RequestReader(), before + data)
        except BadRequestError as error:
            assert str(error)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"\x16\x03\x01\r\n\r\n", "not an HTTP/1.1 request line"),
        (b"GET / HTTP/1.0\r\n\r\n", "not an HTTP/1.1 request line"),
        (b"GET / HTTP/1.1\r\nno colon\r\n\r\n", "a malformed header line"),
        (b"GET / HTTP/1.1\r\ncontent-length: -1\r\n\r\n", "a content length of '-1'"),
        (b"GET / HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n", "a content length of '999999999999'"),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n-1\r\n", "a malformed chunk size"),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\nFFFFFFFF\r\n", "a body of more than"),
        (b"GET / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n" + b"1" * 70_000, "a malformed chunk size"),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 70_000, "a head of more than 65536 bytes"),
    ],
)
def test_what_is_no_request_is_said(data: bytes, message: str) -> None:
    with pytest.raises(BadRequestError, match=message):
        read_all(RequestReader(), data)


def test_a_client_may_wait_for_the_go_ahead() -> None:
    reader = RequestReader()

    assert read_all(reader, b"POST / HTTP/1.1\r\nExpect: 100-Continue\r\nContent-Length: 2\r\n\r\n") == []
    assert reader.wants_continue
    assert read_all(reader, b"1") == []
    assert not reader.wants_continue
    assert read_all(reader, b"1")[0].json == 11
    assert not reader.wants_continue


def test_repr_shows_neither_prompt_nor_key() -> None:
    request = ReceivedRequest("POST", "/v1?api-key=sk-1", {"authorization": "sk-1"}, b"prompt")

    assert repr(request) == "<ReceivedRequest POST /v1, 6 bytes>"


def test_a_body_that_is_no_json_is_a_value_error() -> None:
    with pytest.raises(json.JSONDecodeError):
        _ = ReceivedRequest("POST", "/", {}, b"{").json
