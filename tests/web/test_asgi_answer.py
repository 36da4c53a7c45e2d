"""The headers of answers under ASGI, and what becomes of one that nobody waits for; the rest is in `test_asgi`."""

from __future__ import annotations

import asyncio

import pytest

from streamkit.web.asgi_answer import joined_headers, raw_headers, send_answer, stream_headers
from streamkit.web.asgi_client import ASGIClient
from streamkit.web.http import Answer

from .asgi_call import Call


def test_names_are_in_lower_case_as_asgi_wants_them() -> None:
    assert raw_headers([("X-Mine", "ü")]) == [(b"x-mine", b"\xfc")]


def test_of_what_both_name_the_first_is_kept_and_what_one_names_twice_stays() -> None:
    first = [(b"a", b"1"), (b"set-cookie", b"x"), (b"set-cookie", b"y")]
    assert joined_headers(first, [(b"a", b"2"), (b"b", b"3")]) == [*first, (b"b", b"3")]


@pytest.mark.parametrize("name", [b"content-length", b"transfer-encoding"])
def test_nobody_says_how_long_a_stream_is(name: bytes) -> None:
    assert joined_headers([(name, b"3")], [(name, b"4")]) == []


def test_a_stream_is_marked_as_uncompressed_unless_the_application_says_otherwise() -> None:
    assert stream_headers([(b"a", b"1")], []) == [(b"a", b"1"), (b"content-encoding", b"identity")]
    own = [(b"content-encoding", b"br")]
    assert stream_headers([], own) == own


async def test_answer_that_the_client_does_not_wait_for_is_given_up() -> None:
    call, begun = Call("GET", "/"), asyncio.Event()

    async def answer() -> Answer:
        begun.set()
        await asyncio.Event().wait()
        raise AssertionError("it was given up")

    async with ASGIClient(call.receive, call.send, 0) as client:
        answering = asyncio.ensure_future(send_answer(answer(), client, 1.0))
        await begun.wait()
        call.leave.set()
        assert await answering is None
    assert (call.status, call.is_whole) == (499, True)


async def test_answer_that_is_whole_has_its_length() -> None:
    call = Call("GET", "/")
    async with ASGIClient(call.receive, call.send, 0) as client:

        async def answer() -> Answer:
            return Answer(200, {"content-type": "text/plain"}, b"four")

        assert await send_answer(answer(), client, 1.0, [(b"content-type", b"other"), (b"x-mine", b"1")]) == "end"
    assert (call.body, call.is_whole) == (b"four", True)
    assert call.headers == {"content-type": "text/plain", "x-mine": "1", "content-length": "4"}
