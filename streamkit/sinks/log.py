"""`LogSink`: streams in the application's log."""

from __future__ import annotations

import logging
import re
import secrets
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, cast, get_args

from ..errors import StreamAborted, StreamError
from .content import ContentMode, check_redact, is_own_message, shown, word
from .meter import meter_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from ..model import Chunk, Completion, Retry, Stall, StreamStart, StreamWarning
    from ..stream import CompletionStream

__all__ = ["KeywordLogger", "LogSink"]

_Fields: TypeAlias = dict[str, Any]

_METHODS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "critical",
}


class KeywordLogger(Protocol):
    """A logger whose methods take an event and keyword arguments, as structlog's do."""

    def debug(self, event: str, /, **fields: Any) -> object: ...  # noqa: ANN401 - fields are what they are
    def info(self, event: str, /, **fields: Any) -> object: ...  # noqa: ANN401 - likewise
    def warning(self, event: str, /, **fields: Any) -> object: ...  # noqa: ANN401 - likewise
    def error(self, event: str, /, **fields: Any) -> object: ...  # noqa: ANN401 - likewise


class LogSink:
    """Logs each stream: a record at its start and one at its end, with figures; stalls, retries and warnings between them.

    Args:
        logger: a stdlib logger or its name, a LoggerAdapter, or any logger whose methods take keyword arguments (structlog).
        level: of the record at the start, and of that at the end unless the stream failed (ERROR). Stalls, retries and
            warnings are at WARNING.
        chunk_level: of a record for each chunk; if the logger does not want them when the stream starts, they cost nothing.
        content: what the records show of prompts and answers: "none", "length" (characters), "hash" (the beginning of a
            SHA-256), or "full". Without "full", the words of a server's error message are left out too, because it may quote
            the prompt; status, code and type are there.
        redact: from text to text, for "full". Chunks then show their length only: a secret may be split over two of them.

    A stdlib record has its fields in `record.streamkit`, a dict: `event` ("start", "chunk", "retry", "stall", "warning" or
    "end"), `stream` (an id that all records of one stream share), `model`, and what the event has to say. A keyword logger
    gets them as arguments. API keys are in none of them.

    Raises:
        TypeError, ValueError: an argument that makes no sense.

    >>> import asyncio, sys
    >>> from streamkit import StreamDriver
    >>> from streamkit.testing import answer, completion_server
    >>> logger = logging.getLogger("app")
    >>> logger.addHandler(handler := logging.StreamHandler(sys.stdout))
    >>> async def main():
    ...     no_key = answer(401, {"error": {"message": "what a key is secret"}})
    ...     async with completion_server(no_key) as server, StreamDriver(server.base_url, "secret") as driver:
    ...         await driver.stream("hi", model="m").attach(LogSink(logger)).start().finished()
    >>> asyncio.run(main())
    stream ... failed after 0 chunks: StatusError, status 401
    >>> logger.removeHandler(handler)
    """

    def __init__(
        self,
        logger: logging.Logger | logging.LoggerAdapter[Any] | KeywordLogger | str = "streamkit.log",
        *,
        level: int = logging.INFO,
        chunk_level: int = logging.DEBUG,
        content: ContentMode = "none",
        redact: Callable[[str], str] | None = None,
    ) -> None:
        if content not in get_args(ContentMode):
            raise ValueError(f"content must be one of {', '.join(get_args(ContentMode))}, not {content!r}")
        for name, value in (("level", level), ("chunk_level", chunk_level)):
            if type(value) is not int:
                raise TypeError(f"{name} must be a number, as logging.INFO, not {value!r}")
        check_redact(redact)
        self._content: ContentMode = content
        self._chunk_content: ContentMode = "length" if content == "full" and redact is not None else content
        self._redact = redact
        self._level = level
        self._chunk_level = chunk_level
        if isinstance(logger, str):
            logger = logging.getLogger(logger)
        self._log: Callable[[int, str, _Fields], object]
        if isinstance(logger, logging.Logger | logging.LoggerAdapter):
            self._log = _stdlib(logger)
        else:
            missing = [name for name in _METHODS.values() if not callable(getattr(logger, name, None))]
            if missing:
                raise TypeError(
                    f"logger must be a logging.Logger, its name, or a logger whose methods take keyword arguments;"
                    f" a {type(logger).__name__} has no {missing[0]}()"
                )
            for value in (level, chunk_level):
                if value not in _METHODS:
                    raise ValueError(f"a {type(logger).__name__} has no method for level {value}")
            self._log = _keyword(logger)
        self._is_enabled = _enabled_for(logger)

    def __call__(self, stream: CompletionStream) -> None:
        """Log a stream."""
        meter, common = meter_of(stream), {"stream": secrets.token_hex(4)}
        started_at = 0.0
        aborted: StreamAborted | None = None

        def log(level: int, text: str, fields: Mapping[str, Any]) -> None:
            if self._is_enabled(level):
                known = {name: value for name, value in fields.items() if value is not None}
                self._log(level, f"stream {common['stream']} {text}", {**common, **known})

        def start(start: StreamStart) -> None:
            nonlocal started_at
            started_at = start.at
            common["model"] = start.model or "unknown"
            prompt = shown(_prompt(start.request), self._content, self._redact) if self._content != "none" else None
            sentence = f"started: model {common['model']}"
            if prompt is not None:
                sentence += f"; prompt {prompt!r}"
            log(self._level, sentence, {"event": "start", "prompt": prompt})
            if self._is_enabled(self._chunk_level):
                stream.on("chunk", chunk)

        def chunk(chunk: Chunk) -> None:
            at = stream.read_at - started_at
            text = shown(chunk.text, self._chunk_content)
            fields = {"event": "chunk", "chunk": meter.chunks, "at": round(at, 6), "text": text}
            what = f"chunk {meter.chunks} at {at:.3f} s"
            log(self._chunk_level, what if text is None else f"{what}: {text!r}", fields)

        def retry(retry: Retry) -> None:
            fields = {"event": "retry", "attempt": retry.attempt, "delay": retry.delay, **self._error(retry.error)}
            log(
                logging.WARNING,
                f"attempt {retry.attempt} failed, next in {retry.delay:.1f} s: {_sentence(fields)}",
                fields,
            )

        def stall(stall: Stall) -> None:
            fields = {"event": "stall", "seconds": stall.seconds, "limit": stall.limit}
            log(logging.WARNING, f"stalls: no content for {stall.seconds:.1f} s of {stall.limit:g} s", fields)

        def warning(warning: StreamWarning) -> None:
            # The detail and the excerpt may quote the feed.
            detail = shown(warning.detail, "full", self._redact) if self._content == "full" else None
            text = f"warning {warning.kind}" if detail is None else f"warning {warning.kind}: {detail}"
            log(logging.WARNING, text, {"event": "warning", "kind": warning.kind, "detail": detail})

        def abort(abort: StreamAborted) -> None:
            nonlocal aborted
            aborted = abort

        def end(completion: Completion) -> None:
            stats = meter.stats(completion)
            fields: _Fields = {"event": "end", "ended_by": completion.ended_by}
            if completion.finish_reason is not None:
                fields["finish_reason"] = completion.finish_reason
            fields |= {name: getattr(stats, name) for name in _FIGURES}
            if meter.error is not None:
                fields |= self._error(meter.error)
            if aborted is not None and aborted.reason:
                fields["reason"] = aborted.reason
            fields["text"] = text = shown(completion.text, self._content, self._redact)
            chunks = f"{stats.chunks} chunk{'s'[: stats.chunks != 1]}"
            if meter.error is not None:
                sentence = f"failed after {chunks}: {_sentence(fields)}"
            elif aborted is not None:
                sentence = f"{'cancelled' if completion.ended_by == 'cancel' else aborted} after {chunks}"
            else:
                figures = [
                    f"finish_reason {completion.finish_reason}",
                    chunks,
                    *([f"ttft {stats.ttft:.2f} s"] if stats.ttft is not None else []),
                    *([f"{stats.wall:.2f} s in all"] if stats.wall is not None else []),
                    str(completion.usage) if completion.usage is not None else "no usage",
                ]
                sentence = f"done: {', '.join(figures)}"
            if text is not None:
                sentence += f"; text {text!r}"
            log(logging.ERROR if meter.error is not None else self._level, sentence, fields)

        stream.on("start", start, replay=True)
        stream.on("retry", retry)
        stream.on("stall", stall)
        stream.on("warning", warning)
        stream.on("abort", abort, replay=True)
        stream.on("end", end, replay=True)

    def _error(self, error: StreamError) -> _Fields:
        fields: _Fields = {"error": type(error).__name__, "status": error.status, "request_id": error.request_id}
        fields |= {"error_code": word(error.code), "error_type": word(error.type)}
        if self._content == "full" or is_own_message(error):
            fields["message"] = shown(error.message, "full", self._redact)
        return fields


_FIGURES: Final = (
    "chunks",
    "ttfb",
    "ttfc",
    "ttft",
    "ttfo",
    "tpot",
    "e2e",
    "wall",
    "chunks_per_second",
    "tokens_per_second",
    "prompt_tokens",
    "completion_tokens",
    "stalls",
    "retries",
    "warnings",
)


_NO_LINE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _escaped(found: re.Match[str]) -> str:
    return repr(found[0])[1:-1]


def _prompt(request: Mapping[str, Any]) -> str:
    """The texts of the messages, a line each."""
    texts: list[str] = []
    for message in request.get("messages") or ():
        content = message.get("content") if isinstance(message, dict) else None
        parts = [{"text": content}] if isinstance(content, str) else content if isinstance(content, list) else []
        texts.extend(str(part["text"]) for part in parts if isinstance(part, dict) and "text" in part)
    return "\n".join(texts)


def _sentence(fields: Mapping[str, Any]) -> str:
    """An error in a line."""
    parts = [str(fields["error"])]
    for name, label in (("status", "status"), ("error_code", "code"), ("request_id", "request id")):
        if fields.get(name) is not None:
            parts.append(f"{label} {fields[name]}")
    sentence = ", ".join(parts)
    return f"{sentence}: {fields['message']}" if fields.get("message") else sentence


def _stdlib(logger: logging.Logger | logging.LoggerAdapter[Any]) -> Callable[[int, str, _Fields], object]:
    def log(level: int, text: str, fields: _Fields) -> None:
        # One argument, no formatting: a % in the text is a %. One line: what a server calls its model or its finish is not to
        # end it, and begin another that looks like a record.
        logger.log(level, "%s", _NO_LINE.sub(_escaped, text), extra={"streamkit": fields})

    return log


def _keyword(logger: KeywordLogger) -> Callable[[int, str, _Fields], object]:
    def log(level: int, text: str, fields: _Fields) -> None:
        event = f"stream {fields.pop('event')}"
        getattr(logger, _METHODS[level])(event, **fields)

    return log


def _enabled_for(logger: object) -> Callable[[int], bool]:
    """How to ask a logger whether it wants a level; one that cannot be asked wants all.

    Asked by the class: structlog's loggers answer for any name at all, and some log what they are asked.
    """
    bind = getattr(type(logger), "bind", None)
    bound = cast("Any", logger).bind() if callable(bind) else logger  # structlog's lazy proxy, made what it stands for
    for name in ("isEnabledFor", "is_enabled_for"):
        if callable(getattr(type(bound), name, None)):
            return cast("Callable[[int], bool]", getattr(bound, name))
    return lambda level: True
