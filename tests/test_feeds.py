"""Every recorded feed, through the decoders and the accumulator, in one read, in odd ones, and byte by byte."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from streamkit.wire.body import completion_in_body
from streamkit.wire.failure import status_error

from .conftest import require_or_skip
from .feeds import FOLDER, Feed, assert_as_expected, expected_error, feed_id, fold, openai_chat_feeds, recorded

if TYPE_CHECKING:
    from collections.abc import Iterator

CHAT = openai_chat_feeds()


def test_the_recorded_feeds_are_here():
    if not FOLDER.is_dir():
        require_or_skip(f"the recorded feeds are not in {FOLDER}")
    assert len(CHAT) > 150


every_chat_feed = pytest.mark.parametrize("feed", CHAT, ids=feed_id)


@every_chat_feed
def test_x(feed: Feed):
    f = fold([feed.body])
    assert_as_expected(f.completion, feed)
    message = expected_error(feed)
    if message is None:
        assert f.error is None
    else:
        assert f.error.message.endswith(message)
    assert f.done == feed.expected["has_done"]
    assert not f.malformed
