"""What a client reads of an encoder's bytes."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from streamkit import ServerSentEvent, SSEDecoder
from streamkit.web import Encoder, LogGap, Record, StreamEnd

__all__ = ["body_of", "data_of", "events_of", "texts"]


def texts(*texts: str) -> list[Record | LogGap]:
    """Records with these texts."""
    return [
        Record(seq, "chunk", json.dumps({"choices": [{"index": 0, "delta": {"content": text}}]}).encode())
        for seq, text in enumerate(texts, 1)
    ]


def body_of(encoder: Encoder, records: Iterable[Record | LogGap], end: StreamEnd | None = None) -> bytes:
    """All bytes of a stream, a heartbeat between every two frames."""
    records = list(records)
    frames = [encoder.record(record) for record in records]
    if end is not None:
        frames.append(encoder.end(end, len(records) + 1))
    return encoder.heartbeat.join(frames)


def events_of(body: bytes) -> list[ServerSentEvent]:
    """The events as a browser dispatches them; whatever the split of the bytes."""
    decoder = SSEDecoder()
    events = [event for at in range(0, len(body), 7) for event in decoder.feed(body[at : at + 7])]
    assert SSEDecoder().feed(body) == events
    return events


def data_of(body: bytes) -> list[Any]:
    """The JSON of all events of the default type; `[DONE]` as it is."""
    events = [event for event in events_of(body) if event.event == "message"]
    return [event.data if event.data == "[DONE]" else json.loads(event.data) for event in events]
