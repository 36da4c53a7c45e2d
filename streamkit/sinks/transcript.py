"""`TranscriptSink`: what was asked and answered, in a file of JSON lines."""

from __future__ import annotations

import datetime as dt
import json
import logging
import os
from typing import TYPE_CHECKING, Any, Final

import msgspec

from .appending import Appender
from .content import check_redact, is_own_message, redacted, word
from .meter import meter_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from ..errors import StreamError
    from ..model import Choice, Completion, Connected, StreamStart
    from ..stream import CompletionStream
    from .figures import StreamStats

__all__ = ["TranscriptSink"]

log = logging.getLogger("streamkit.sinks.transcript")

# They are line ends for some readers of lines (str.splitlines), so they go escaped.
_LINE_ENDS: Final = {mark: f"\\u{ord(mark):04x}" for mark in "\x85\u2028\u2029"}


class TranscriptSink:
    r"""Appends a line of JSON for each stream when it ends, however it ends: who asked for a transcript gets all of it.

    Args:
        path: the file; made if need be, for its owner alone (mode 0600). Its folder has to exist.
        prompts: whether the request stands in the line, with its messages. False also leaves out the words of a server's error
            message, which may quote them.
        redact: from text to text, for every text of the request, the answer and the error.
        max_bytes: a line that would make the file larger goes into a new one, and the old one becomes `path.1`, that one
            `path.2`, and so on. None: the file grows.
        backups: how many old files are kept; the oldest one goes.

    Each line is written at once and whole, so several processes may append to one file, and a reader never sees half a line.
    Where a line cannot be written (a full disk), nothing of it is left in the file, the sink says so once in the log
    (`streamkit.sinks.transcript`) and writes no more: a transcript has all streams up to a moment, and no holes. The streams
    go on. When there is room again, a new sink goes on with the file.

    The fields: `started` (UTC), `model`, `request`, `request_id`, `id`, `text`, `reasoning`, `refusal`, `tool_calls`,
    `choices` (where there is more than one), `finish_reason`, `usage`, `ended_by`, `complete`, `error` (`type`, `message`,
    `status`, `code`), `quirks`, `stats` (see `StreamStats`). What is unknown or empty is left out. The API key, which is in a
    header, is in none of them.

    Raises:
        OSError: the file cannot be made or written; the message names it. ValueError, TypeError: an argument that makes no sense.

    >>> import asyncio, pathlib, tempfile
    >>> from streamkit import StreamDriver, demo_tape
    >>> from streamkit.testing import replay_server
    >>> async def main(path):
    ...     async with replay_server(demo_tape(), speed=0) as server:
    ...         async with StreamDriver(server.base_url, sinks=[TranscriptSink(path)]) as driver:
    ...             await driver.stream("Write a poem", model="m")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = pathlib.Path(folder, "log.jsonl")
    ...     asyncio.run(main(path))
    ...     line = json.loads(path.read_text())
    >>> line["request"]["messages"], line["finish_reason"], line["usage"]["completion_tokens"]
    ([{'role': 'user', 'content': 'Write a poem'}], 'stop', 127)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        prompts: bool = True,
        redact: Callable[[str], str] | None = None,
        max_bytes: int | None = None,
        backups: int = 3,
    ) -> None:
        if type(prompts) is not bool:
            raise TypeError(f"prompts must be True or False, not {prompts!r}")
        check_redact(redact)
        self._file = Appender(path, max_bytes=max_bytes, backups=backups)
        self._prompts = prompts
        self._redact = redact
        self._disabled = False

    def __call__(self, stream: CompletionStream) -> None:
        """Write down a stream."""
        meter = meter_of(stream)
        head: dict[str, Any] = {}

        def start(start: StreamStart) -> None:
            head["started"] = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")
            head["model"] = start.model
            if self._prompts:
                head["request"] = start.request

        def connect(connected: Connected) -> None:
            head["request_id"] = connected.request_id

        def end(completion: Completion) -> None:
            record = _record(head, completion, meter.stats(completion))
            if meter.error is not None:
                record["error"] = self._error(meter.error)
            self._write(record)

        stream.on("start", start, replay=True)
        stream.on("connect", connect, replay=True)
        stream.on("end", end, replay=True)

    def _error(self, error: StreamError) -> dict[str, Any]:
        # The words of a server may quote the prompt.
        message = error.message if self._prompts or is_own_message(error) else None
        code = error.code if self._prompts else word(error.code)
        return _known({"type": type(error).__name__, "message": message, "status": error.status, "code": code})

    def _write(self, record: dict[str, Any]) -> None:
        if self._disabled:
            return
        if self._redact is not None:
            for name in _TEXTS & record.keys():
                record[name] = redacted(record[name], self._redact)
        try:
            self._file.append(_line(record))
        except OSError as error:
            self._disabled = True
            log.error("%s; no more transcripts are written", error)  # noqa: TRY400 - the path is no riddle


_TEXTS: Final = frozenset({"request", "text", "reasoning", "refusal", "tool_calls", "choices", "error"})


def _record(head: dict[str, Any], completion: Completion, stats: StreamStats) -> dict[str, Any]:
    first = completion.choices[0] if completion.choices else None
    record = {
        **head,
        "id": completion.id,
        **({} if first is None or first.index else _said(first)),
        "choices": [{"index": each.index, **_said(each)} for each in completion.choices]
        if len(completion.choices) > 1
        else None,
        "usage": None if completion.usage is None else msgspec.to_builtins(completion.usage),
        "ended_by": completion.ended_by,
        "complete": completion.complete,
        "quirks": completion.quirks,
        "stats": _known(msgspec.to_builtins(stats)),
    }
    return _known(record)


def _said(choice: Choice) -> dict[str, Any]:
    message = choice.message
    return _known(
        {
            "text": message.content,
            "reasoning": message.reasoning,
            "refusal": message.refusal,
            "tool_calls": [msgspec.to_builtins(call) for call in message.tool_calls],
            "finish_reason": choice.finish_reason,
        }
    )


def _known(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None and value not in ({}, [])}


def _line(record: dict[str, Any]) -> bytes:
    try:
        text = json.dumps(record, ensure_ascii=False, default=str)
        for mark, escape in _LINE_ENDS.items():
            text = text.replace(mark, escape)
        line = text.encode("utf-8")
    except UnicodeEncodeError:  # half of a surrogate pair, which no UTF-8 can hold
        line = json.dumps(record, default=str).encode("ascii")
    return line + b"\n"
