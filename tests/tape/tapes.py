"""Tapes to test with: by their lines, and as written."""

from __future__ import annotations

import datetime as dt
import io

from hypothesis import strategies as st

from streamkit.tape import Ending, TapeWriter

HEADER = '{"format": "streamkit-tape", "version": 1}'
HEADERS = '[0.1, "h", {"status": 200, "headers": [["content-type", "text/event-stream"]]}]'
CREATED = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)

ENDINGS: list[Ending] = ["eof", "reset", "timeout", "cancelled"]
seconds = st.floats(min_value=0, max_value=1e6, allow_nan=False)
read_lists = st.lists(st.tuples(seconds, st.binary(min_size=1) | st.text(min_size=1).map(str.encode)))


def tape_of(*lines: str) -> bytes:
    return "".join(line + "\n" for line in (HEADER, *lines)).encode()


def write(reads: list[tuple[float, bytes]], *, secrets: tuple[str, ...] = (), ending: Ending | None = "eof") -> bytes:
    file = io.BytesIO()
    with TapeWriter(file, secrets=secrets, created=CREATED) as writer:
        writer.headers(200, [("content-type", "text/event-stream")], 0.0)
        now = 0.0
        for now, data in reads:
            writer.read(data, now)
        if ending is not None:
            writer.end(ending, now)
    return file.getvalue()
