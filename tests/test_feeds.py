"""Every recorded feed, through the decoders and the accumulator: in one read, in odd ones, and byte by byte."""

from __future__ import annotations

import base64
import json
import random
from typing import TYPE_CHECKING

import pytest

from streamkit.errors import StreamError
from streamkit.sse import SSEDecoder
from streamkit.wire.body import BodyKind, completion_in_body, kind_of_body
from streamkit.wire.chat import ChatDecoder
from streamkit.wire.failure import server_error, status_error

from .conftest import require_or_skip
from .feeds import FOLDER, Feed, assert_as_expected, expected_error, feed_id, fold, openai_chat_feeds, recorded

if TYPE_CHECKING:
    from streamkit.model import Chunk

CHAT = openai_chat_feeds()
OTHERS = [
    feed
    for folder in sorted(FOLDER.glob("*/"))
    if folder.name not in {"openai-chat", "http-error"}
    for feed in recorded(folder.name)
]
REFUSED = recorded("http-error")

#: A feed whose authors broke one chunk on purpose; every other chunk of every chat feed is one.
BROKEN = {"openai__gpt-4-0125-preview__text__0b6e108a": 1}


def each(feeds: list[Feed]) -> pytest.MarkDecorator:
    """Run the test for each feed; skip it where there is none."""
    absent = pytest.param(None, id="absent", marks=pytest.mark.skip(f"the recorded feeds are not in {FOLDER}"))
    named = [pytest.param(feed, id=feed_id(feed)) for feed in feeds]
    return pytest.mark.parametrize("feed", named or [absent])


def test_the_recorded_feeds_are_here():
    if not FOLDER.is_dir():
        require_or_skip(f"the recorded feeds are not in {FOLDER}")
    assert len(CHAT) > 150
    assert len(OTHERS) > 150
    assert len(REFUSED) > 10


def splits(body: bytes, count: int, seed: str) -> list[bytes]:
    """The body in `count` + 1 reads; always the same ones for a seed."""
    cuts = sorted(random.Random(seed).randrange(len(body) + 1) for _ in range(count))
    return [body[start:end] for start, end in zip([0, *cuts], [*cuts, len(body)], strict=True)]


def assert_read_right(feed: Feed, reads: list[bytes]) -> None:
    folded = fold(reads)
    assert_as_expected(folded.completion, feed)
    assert len(folded.malformed) == BROKEN.get(feed_id(feed), 0)
    message = expected_error(feed)
    if message is None:
        assert folded.error is None
        # A [DONE] without its blank line, or with a space after it, counts too.
        assert folded.done == (feed.expected["has_done"] or "[DONE]" in feed.expected.get("undispatched_tail", ""))
    else:
        assert folded.error is not None
        assert folded.error.message == f"the server reported an error in the stream: {' '.join(message.split())}"


@each(CHAT)
def test_a_chat_feed_in_one_read(feed: Feed):
    assert_read_right(feed, [feed.body])


@each(CHAT)
@pytest.mark.parametrize("count", [1, 7, 200])
def test_a_chat_feed_in_odd_reads(feed: Feed, count: int):
    assert_read_right(feed, splits(feed.body, count, f"{feed_id(feed)} {count}"))


@each(CHAT)
def test_a_chat_feed_byte_by_byte(feed: Feed):
    assert_read_right(feed, [feed.body[place : place + 1] for place in range(len(feed.body))])


@each(CHAT)
def test_both_speeds_say_the_same(feed: Feed):
    def said(chunk: Chunk) -> list[object]:
        # "" and None are one: nothing was sent.
        return [
            chunk.id or None,
            chunk.model or None,
            chunk.usage,
            chunk.text,
            chunk.extra,
            *(
                (choice.index, choice.finish_reason or None, delta.role or None, delta.content or None, delta.reasoning)
                for choice in chunk.choices
                if (delta := choice.delta)
            ),
        ]

    decoder, slow = ChatDecoder(), ChatDecoder()
    for event in SSEDecoder(lenient=True).feed(feed.body):
        data = event.data.encode()
        if data.startswith(b"{") and event.comment is None and feed_id(feed) not in BROKEN:
            assert said(decoder.decode(data)) == said(slow.slow(data))


@each(OTHERS)
def test_a_feed_of_another_dialect_is_read_without_harm(feed: Feed):
    for reads in ([feed.body], splits(feed.body, 50, feed_id(feed))):
        fold(reads)  # nothing but MalformedChunk, which it counts, may come of the decoder
    if kind_of_body(feed.body) is BodyKind.JSON:
        completion_in_body(feed.body, ChatDecoder().quirks)


@each(recorded("openai-completions-legacy"))
def test_row_47_a_legacy_completion_feed(feed: Feed):
    folded = fold([feed.body])
    assert folded.completion.text == feed.expected["text"]
    assert folded.completion.finish_reason == feed.expected["finish_reasons"]["0"]
    assert not folded.malformed


@each(recorded("error-only"))
def test_row_8_and_29_a_body_that_is_nothing_but_an_error(feed: Feed):
    if kind_of_body(feed.body) is BodyKind.JSON:
        chunk = completion_in_body(feed.body, ChatDecoder().quirks)
        error: StreamError | None = None if chunk is None else server_error(chunk.error)
    else:
        error = fold([feed.body]).error
    assert error is not None
    sent = feed.expected["error"]
    assert error.message.endswith(sent["message"])
    assert error.code == (None if sent["code"] is None else str(sent["code"]))
    assert error.type == sent.get("type")


@each(REFUSED)
def test_row_11_a_recorded_error_answer(feed: Feed):
    body, status = feed.body, feed.sidecar["http_status"]
    if body.startswith(b"base64:"):  # as its recorder kept a compressed body: no text at all
        body = base64.b64decode(body.removeprefix(b"base64:"))
    error = status_error(status, feed.sidecar["response_headers"] or {}, body)

    assert error.status == status
    assert not error.retryable
    sent = feed.expected["error"]
    if isinstance(sent, str):
        sent = {"message": sent}
    if sent is not None:
        assert error.message.startswith(f"{status}: {' '.join(sent['message'].split())}")
        assert error.code == (None if sent.get("code") is None else str(sent["code"]))
        assert error.type == sent.get("type")


def test_the_error_bodies_have_every_shape():
    if not REFUSED:
        require_or_skip(f"the recorded feeds are not in {FOLDER}")
    shapes = {type(feed.expected["error"]) for feed in REFUSED}
    flat = [feed for feed in REFUSED if not feed.body.startswith(b"base64:") and "error" not in json.loads(feed.body)]
    assert shapes == {dict, str, type(None)}
    assert flat
