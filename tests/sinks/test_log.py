from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from streamkit import CompletionStream, StreamError, Timeout
from streamkit.settings import RetryPolicy, Settings
from streamkit.sinks import LogSink, StatsSink
from streamkit.testing import chunk, sse

from ..clock import driven
from ..conftest import REPO
from ..stream.scripted import END, Item, ScriptedSource, feed_of
from .probes import Records


@pytest.fixture
def records() -> Records:
    return Records()


@pytest.fixture
def logger(records: Records) -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.sinks.log")
    logger.addHandler(records)
    logger.setLevel(logging.DEBUG)
    yield logger
    logger.removeHandler(records)
    logger.setLevel(logging.NOTSET)


def stream_of(*items: Item, settings: Settings | None = None) -> CompletionStream:
    return CompletionStream(ScriptedSource(items), settings=settings)


def fields_of(records: Records, event: str) -> list[dict[str, Any]]:
    return [record.streamkit for record in records.records if record.streamkit["event"] == event]


@driven
async def test_a_record_at_the_start_and_one_at_the_end_with_figures(records: Records, logger: logging.Logger) -> None:
    logger.setLevel(logging.INFO)

    await stream_of(1.0, feed_of("Hel", "lo"), END).attach(LogSink(logger))

    assert [record.levelname for record in records.records] == ["INFO", "INFO"]
    [start], [end] = fields_of(records, "start"), fields_of(records, "end")
    assert start["model"] == "scripted"
    assert start["stream"] == end["stream"]
    assert (end["ended_by"], end["finish_reason"], end["chunks"], end["ttft"]) == ("done", "stop", 4, 1.0)
    assert records.records[1].getMessage() == (
        f"stream {end['stream']} done: finish_reason stop, 4 chunks, ttft 1.00 s, 1.00 s in all, no usage"
    )
    assert "Hel" not in records.text()


@driven
async def test_nobody_can_forge_a_record(records: Records, logger: logging.Logger) -> None:
    """What a server calls its finish, or a user of the application the model, stays in the line of its record."""
    forged = sse({**chunk("x", finish_reason="stop\nERROR forged\u2028\x1b[2J"), "model": "m\r\nERROR forged"})

    await stream_of(forged, END).attach(LogSink(logger, content="full"))

    for record in records.records:
        line = record.getMessage()
        assert len(line.splitlines()) == 1
        assert "\x1b" not in line
    assert "finish_reason stop\\nERROR forged" in records.records[-1].getMessage()
    [end] = fields_of(records, "end")
    assert end["finish_reason"] == "stop\nERROR forged\u2028\x1b[2J"  # fields are data, for those who encode them


@driven
async def test_chunks_at_debug(records: Records, logger: logging.Logger) -> None:
    await stream_of(feed_of("Hel"), 1.0, feed_of("lo"), END).attach(LogSink(logger))

    chunks = fields_of(records, "chunk")
    assert [each["chunk"] for each in chunks] == [1, 2, 3]  # what follows [DONE] is not read
    assert chunks[0]["at"] == 0.0
    assert "text" not in chunks[0]


@driven
async def test_chunk_records_that_nobody_wants_cost_nothing(logger: logging.Logger) -> None:
    logger.setLevel(logging.INFO)
    with_log, without = stream_of(feed_of("a"), END), stream_of(feed_of("a"), END)
    with_log.attach(StatsSink(), LogSink(logger))
    without.attach(StatsSink())
    counts: list[int] = []

    def count(stream: CompletionStream, text: str) -> None:
        counts.append(stream.listener_count("chunk"))

    for stream in (with_log, without):
        stream.on("text_done", partial(count, stream))

    await with_log
    await without

    assert counts[0] == counts[1]


@driven
async def test_level_is_asked_when_the_stream_starts(records: Records, logger: logging.Logger) -> None:
    logger.setLevel(logging.INFO)
    stream = stream_of(feed_of("a"), END).attach(LogSink(logger))
    logger.setLevel(logging.DEBUG)

    await stream

    assert fields_of(records, "chunk")


@driven
@pytest.mark.parametrize(
    ("content", "text"),
    [("none", None), ("length", 5), ("hash", "sha256:185f8db32271fe25"), ("full", "Hello")],
)
async def test_content(records: Records, logger: logging.Logger, content: Any, text: object) -> None:
    await stream_of(feed_of("Hel", "lo"), END).attach(LogSink(logger, content=content))

    [end] = fields_of(records, "end")
    assert end.get("text") == text
    assert ("Hel" in records.text()) == (content == "full")


@driven
async def test_redact_sees_whole_texts_and_chunks_show_their_length(records: Records, logger: logging.Logger) -> None:
    sink = LogSink(logger, content="full", redact=lambda text: text.replace("secret", "***"))

    await stream_of(feed_of("a sec", "ret."), END).attach(sink)

    assert fields_of(records, "end")[0]["text"] == "a ***."
    assert [each["text"] for each in fields_of(records, "chunk")] == [0, 5, 4, 0]
    assert "sec" not in records.text()


@driven
async def test_redact_that_fails_shows_nothing(records: Records, logger: logging.Logger) -> None:
    def redact(text: str) -> str:
        raise ValueError(text)

    await stream_of(feed_of("secret"), END).attach(LogSink(logger, content="full", redact=redact))

    assert fields_of(records, "end")[0]["text"] == "[redact raised ValueError]"
    assert "secret" not in records.text()


@driven
async def test_failure_is_one_error(records: Records, logger: logging.Logger) -> None:
    source = ScriptedSource([sse(chunk("Hel"), done=False), StreamError("server says: your prompt", status=500)])

    with pytest.raises(StreamError):
        await CompletionStream(source).attach(LogSink(logger))

    errors = [record for record in records.records if record.levelno >= logging.ERROR]
    assert [record.getMessage().split(" ", 2)[2] for record in errors] == [
        "failed after 1 chunk: StreamError, status 500"
    ]
    assert "your prompt" not in records.text()


@driven
async def test_retries_stalls_and_warnings_are_warnings(records: Records, logger: logging.Logger) -> None:
    feed = sse(chunk("a"), done=False) + b"data: {broken quote\n\n"
    source = ScriptedSource([StreamError("busy", retryable=True)], [feed, 6.0, sse(chunk(finish_reason="stop")), END])
    settings = Settings(retry=RetryPolicy(retries=1), timeout=Timeout(idle=10))

    await CompletionStream(source, settings=settings).attach(LogSink(logger))

    warnings = [record.streamkit["event"] for record in records.records if record.levelno == logging.WARNING]
    assert warnings == ["retry", "warning", "stall"]
    assert "broken quote" not in records.text()


@driven
async def test_a_percent_sign_is_a_percent_sign(records: Records, logger: logging.Logger) -> None:
    await stream_of(feed_of("100 %s"), END).attach(LogSink(logger, content="full"))

    assert "'100 %s'" in records.records[-1].getMessage()


@driven
async def test_adapter_and_name(records: Records, logger: logging.Logger) -> None:
    await stream_of(feed_of("a"), END).attach(LogSink(logger.name))
    await stream_of(feed_of("a"), END).attach(LogSink(logging.LoggerAdapter(logger, {})))

    names = [record.name for record in records.records if record.levelno == logging.INFO]
    assert names == [logger.name] * 4


class Keyword:
    """A logger as structlog's filtering ones are."""

    def __init__(self, level: int = logging.DEBUG) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []
        self.level = level

    def is_enabled_for(self, level: int) -> bool:
        return level >= self.level

    def debug(self, event: str, /, **fields: Any) -> None:
        self.entries.append(("debug", event, fields))

    def info(self, event: str, /, **fields: Any) -> None:
        self.entries.append(("info", event, fields))

    def warning(self, event: str, /, **fields: Any) -> None:
        self.entries.append(("warning", event, fields))

    def error(self, event: str, /, **fields: Any) -> None:
        self.entries.append(("error", event, fields))

    critical = error


class Lazy:
    """As structlog's proxy: `bind()` gives the logger; any attribute there is, and calling it logs."""

    def __init__(self, logger: Keyword) -> None:
        self._logger = logger

    def bind(self) -> Keyword:
        return self._logger

    def __getattr__(self, name: str) -> Any:
        return getattr(self._logger, name, lambda event, **fields: self._logger.info(f"logged {name}"))  # noqa: G004 - a keyword logger


@driven
@pytest.mark.parametrize("lazy", [False, True])
async def test_logger_that_takes_keywords(lazy: bool) -> None:
    keyword = Keyword(logging.INFO)
    logger: Any = Lazy(keyword) if lazy else keyword

    await stream_of(feed_of("a"), END).attach(LogSink(logger))

    assert [(level, event) for level, event, _ in keyword.entries] == [("info", "stream start"), ("info", "stream end")]
    assert keyword.entries[1][2]["chunks"] == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"content": "some"}, ValueError, "content must be one of none, length, hash, full, not 'some'"),
        ({"logger": object()}, TypeError, r"a object has no debug\(\)"),
        ({"level": "INFO"}, TypeError, "level must be a number, as logging.INFO, not 'INFO'"),
        ({"redact": "x"}, TypeError, "redact must be a function from text to text, not str"),
        ({"logger": Keyword(), "level": 15}, ValueError, "a Keyword has no method for level 15"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        LogSink(**arguments)


def test_streamkit_configures_no_logging() -> None:
    code = """
import logging, streamkit, streamkit.sinks
streamkit.sinks.LogSink()
for name in ("", "streamkit", "streamkit.log"):
    logger = logging.getLogger(name)
    null = [isinstance(handler, logging.NullHandler) for handler in logger.handlers]
    print(name, null, logger.level, logger.propagate)
"""
    result = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True)

    assert result.stdout.splitlines() == [
        " [] 30 True",
        "streamkit [True] 0 True",
        "streamkit.log [] 0 True",
    ]
