from __future__ import annotations

from typing import Any, get_args

import pytest

from streamkit.web import StreamEnd, encoding
from streamkit.web.encode import EncodingName

from .reading import body_of, texts


@pytest.mark.parametrize("name", get_args(EncodingName))
def test_every_name_has_an_encoder(name: EncodingName):
    encoder = encoding(name, "s")
    assert b"hello" in body_of(encoder, texts("hello"), StreamEnd("done"))
    assert encoder.content_type.startswith(("text/event-stream", "text/plain"))
    assert "no-store" in encoder.headers["Cache-Control"]
    assert encoder.clean(StreamEnd("done"))


def test_an_unknown_name_is_refused_with_the_known_ones():
    unknown: Any = "xml"
    with pytest.raises(ValueError, match="native, openai, guide or plain, not 'xml'"):
        encoding(unknown, "s")


def test_only_the_native_encoding_can_be_resumed():
    assert [name for name in get_args(EncodingName) if encoding(name, "s").resumable] == ["native"]


def test_usage_is_left_out_unless_it_was_asked_for():
    end = StreamEnd("done", usage={"total_tokens": 1})
    assert b"usage" not in encoding("openai", "s").end(end, 1)
    assert b"usage" in encoding("openai", "s", include_usage=True).end(end, 1)
