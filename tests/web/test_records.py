from __future__ import annotations

from typing import Any

import pytest

from streamkit import Accumulator, Chunk, ChunkChoice, Delta, Usage
from streamkit.web.records import Failure, StreamEnd, end_of


@pytest.mark.parametrize("reason", ["error", "abort", "shutdown", "producer_lost"])
def test_every_ending_but_done_is_a_failure_for_protocols_that_know_no_other(reason: Any):
    failure = StreamEnd(reason).failure
    assert failure is not None
    assert failure.code
    assert StreamEnd("done").failure is None


def test_an_end_survives_its_json():
    end = StreamEnd(
        "error", "length", {"total_tokens": 3, "x": {"y": 1}}, Failure("boom\n\u2028", code="c", status=500)
    )
    assert StreamEnd.decode(end.encode()) == end
    assert b"\n" not in end.encode()


def test_an_end_knows_what_the_completion_knew():
    accumulator = Accumulator()
    accumulator.add(Chunk((ChunkChoice(delta=Delta(content="x"), finish_reason="length"),), usage=Usage(1, 2, 3)))
    end = end_of(accumulator.completion(), "done")
    assert (end.finish_reason, end.usage) == ("length", {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3})
