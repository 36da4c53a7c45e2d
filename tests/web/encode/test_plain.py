from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.web import LogGap, StreamEnd
from streamkit.web.encode import PlainEncoder

from .reading import body_of, texts


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text(), max_size=5))
def test_the_body_is_the_text(pieces: list[str]):
    encoder = PlainEncoder()
    assert body_of(encoder, texts(*pieces), StreamEnd("done")) == "".join(pieces).encode()
    assert encoder.clean(StreamEnd("done"))


@pytest.mark.parametrize("reason", ["error", "abort", "shutdown", "producer_lost"])
def test_what_is_not_whole_does_not_end_cleanly(reason: Any):
    assert not PlainEncoder().clean(StreamEnd(reason))


def test_nothing_comes_after_a_gap():
    encoder = PlainEncoder()
    assert body_of(encoder, [*texts("a"), LogGap(2, 2), *texts("b")], StreamEnd("done")) == b"a"
    assert not encoder.clean(StreamEnd("done"))
