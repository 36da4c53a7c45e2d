"""How large a tape may become; all else about writing is in tests/test_tape.py."""

from __future__ import annotations

import io

import pytest

from streamkit.errors import TapeError
from streamkit.tape import TapeWriter, parse_tape


@pytest.mark.parametrize("limit", range(200, 700, 25))
def test_tape_has_whole_lines_up_to_its_limit(limit: int) -> None:
    file = io.BytesIO()
    writer = TapeWriter(file, max_bytes=limit)
    with pytest.raises(TapeError, match=rf"larger than max_bytes={limit}; the tape ends"):
        writer.headers(200, [], 0.0)
        for number in range(1000):
            writer.read(b"data: x\n\n", number / 10)

    tape = parse_tape(file.getvalue())
    assert limit - 40 < len(file.getvalue()) <= limit
    assert (tape.ending, tape.torn) == (None, False)
    assert tape.body == b"data: x\n\n" * len(tape.reads)


def test_header_is_written_in_any_case_and_nothing_after_it() -> None:
    file = io.BytesIO()
    writer = TapeWriter(file, request={"body": "x" * 1000}, max_bytes=100)
    with pytest.raises(TapeError, match="max_bytes=100"):
        writer.headers(200, [], 0.0)
    writer.close()

    assert parse_tape(file.getvalue()).request == {"body": "x" * 1000}
