from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from streamkit.testing import At, Cut, End, Hang, Headers, Raw, Reset, Script, Send, Step, Wait, answer
from streamkit.testing.script import check_script


def test_bytes_are_a_script_that_sends_them() -> None:
    assert check_script(b"data: 1\n\n") == (Send(b"data: 1\n\n"),)


def test_a_script_of_all_steps_stands() -> None:
    steps: list[Step] = [
        Wait(0),
        Raw(b"HTTP/1.1 102 Processing\r\n\r\n"),
        Headers(),
        At(1),
        Send(b"x"),
        Raw(b"y"),
        End(),
    ]

    assert check_script(steps) == tuple(steps)
    assert check_script([]) == ()


@pytest.mark.parametrize("last", [End(), Cut(), Reset(), Hang()])
def test_nothing_comes_after_an_ending(last: End | Cut | Reset | Hang) -> None:
    with pytest.raises(ValueError, match=rf"step 1 of a script is {type(last).__name__}\(\), and others follow"):
        check_script([Send(b"x"), last, Send(b"y")])


@pytest.mark.parametrize("before", [Headers(), Send(b"x")])
def test_headers_come_once_and_first(before: Headers | Send) -> None:
    with pytest.raises(ValueError, match="step 1 of a script sends headers after the answer has begun"):
        check_script([before, Headers()])


def test_what_is_no_step_is_named() -> None:
    with pytest.raises(TypeError, match="step 1 of a script is a str; it takes Headers, Send, Raw, Wait, At, End, Cut"):
        check_script(cast("Script", [Send(b"x"), "text"]))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Wait(-1), "Wait takes a finite number of seconds of at least 0, not -1"),
        (lambda: At(float("nan")), "At takes a finite number of seconds of at least 0, not nan"),
        (lambda: Headers(99), "an HTTP status is 100 to 999, not 99"),
        (lambda: Headers(200, {"a": "b\r\nc: d"}), "the header 'a' is not one line of text; use Raw"),
        (lambda: Headers(200, [("a\0", "b")]), "is not one line of text"),
        (lambda: Headers(200, {"a": "\ud800"}), "is not one line of text"),
        (lambda: Headers(200, {"": "b"}), "the header '' is not one line of text"),
        (lambda: Headers(framing=cast("object", "gzip")), 'the framing is "chunked" or "close", not \'gzip\''),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # what is tested
    ],
)
def test_steps_that_cannot_be_are_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize("step", [Send, Raw])
def test_text_is_not_sent(step: Callable[[object], object]) -> None:
    with pytest.raises(TypeError, match=r"takes bytes, not str; encode text, or build a feed with sse\(\)"):
        step("text")


def test_headers_are_kept_as_pairs() -> None:
    assert Headers(200, {"a": "1"}) == Headers(200, [("a", "1")]) == Headers(200, iter([("a", "1")]))
    assert Headers(200, [("a", "1"), ("a", "2")]).pairs == (("a", "1"), ("a", "2"))


@pytest.mark.parametrize(
    ("body", "data", "content_type"),
    [
        ({"a": 1}, b'{"a": 1}', "application/json"),
        (None, b"null", "application/json"),
        ("<html>é", "<html>é".encode(), "text/plain"),
        (b"\xff", b"\xff", "text/plain"),
    ],
)
def test_an_answer_is_headers_a_body_and_an_end(body: object, data: bytes, content_type: str) -> None:
    headers = [("retry-after", "1"), ("content-type", content_type), ("content-length", str(len(data)))]

    assert answer(429, body, {"retry-after": "1"}) == (Headers(429, headers), Send(data), End())


def test_an_answer_has_the_content_type_that_it_is_given() -> None:
    headers = answer(502, "<html>", [("Content-Type", "text/html")])[0]

    assert headers == Headers(502, [("Content-Type", "text/html"), ("content-length", "6")])
