"""Each sink, and how a test reads from its output which streams ended and how. A new sink is one more line in `PROBES`."""

from __future__ import annotations

import io
import json
import logging
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from pyee import EventEmitter

from streamkit import Completion, CompletionStream, StreamError
from streamkit.sinks import (
    ConsoleSink,
    LogSink,
    PrometheusSink,
    StatsSink,
    StreamStats,
    TextAccumulator,
    TranscriptSink,
    pipe,
)

from .telemetry import CAPTURE, Telemetry, described

__all__ = ["PROBES", "Probe", "Tty", "outcome_of"]


class Tty(io.StringIO):
    """A terminal, as far as a program can ask."""

    def isatty(self) -> bool:
        return True


def outcome_of(ended_by: str | None, error: str | None = None) -> str:
    """In one word: the class of the error, or how the stream ended."""
    if error is not None:
        return error
    return {"done": "whole", "eof": "whole"}.get(ended_by or "nothing", ended_by or "nothing")


class Probe:
    """One sink, ready to be attached.

    Args:
        folder: an empty one.
        monkeypatch: for what the sink writes to the process's own outputs.
    """

    sink: Callable[[CompletionStream], object]

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        raise NotImplementedError

    def closings(self) -> list[tuple[str, str | None]]:
        """A pair for each closing record: the outcome, and the text of the answer if the record has it."""
        raise NotImplementedError

    def output(self) -> str:
        """All that the sink has written anywhere."""
        raise NotImplementedError


class StatsProbe(Probe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.given: list[StreamStats] = []
        self.sink = self.stats = StatsSink(self.given.append, keep=10_000)

    def closings(self) -> list[tuple[str, str | None]]:
        assert list(self.stats.recent) == self.given
        return [(outcome_of(stats.ended_by, stats.error), None) for stats in self.given]

    def output(self) -> str:
        return "".join(map(repr, self.given))


class Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def text(self) -> str:
        formatter = logging.Formatter("%(name)s %(levelname)s %(message)s")
        return "\n".join(
            f"{formatter.format(record)} {getattr(record, 'streamkit', '')!r} {record.args!r}"
            for record in self.records
        )


class LogProbe(Probe):
    settings: dict[str, Any] = {}

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        logger = logging.Logger("app", logging.DEBUG)  # noqa: LOG001 - of this probe alone, in no tree
        self.handler = Records()
        logger.addHandler(self.handler)
        self.sink = LogSink(logger, **self.settings)

    def closings(self) -> list[tuple[str, str | None]]:
        fields = [record.streamkit for record in self.handler.records]
        starts = [each["stream"] for each in fields if each["event"] == "start"]
        ends = [each for each in fields if each["event"] == "end"]
        assert sorted(starts) == sorted(each["stream"] for each in ends), "a start for each end"
        return [(outcome_of(each["ended_by"], each.get("error")), each.get("text")) for each in ends]

    def output(self) -> str:
        return self.handler.text()


class FullLogProbe(LogProbe):
    settings = {"content": "full"}


class TranscriptProbe(Probe):
    settings: dict[str, Any] = {}

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.path = folder / "transcript.jsonl"
        self.sink = TranscriptSink(self.path, **self.settings)

    def closings(self) -> list[tuple[str, str | None]]:
        lines = [json.loads(line) for line in self.path.read_text(encoding="utf-8").splitlines()]
        return [
            (outcome_of(line["ended_by"], line.get("error", {}).get("type")), line.get("text", "")) for line in lines
        ]

    def output(self) -> str:
        return self.path.read_text(encoding="utf-8")


class PromptlessTranscriptProbe(TranscriptProbe):
    settings = {"prompts": False}


class TextProbe(Probe):
    """It has no closing record; what it keeps is there whatever the ending, so it notes the end itself."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.accumulator = TextAccumulator()
        self.ended: list[tuple[str, str | None]] = []

        def sink(stream: CompletionStream) -> None:
            self.accumulator(stream)
            error: list[str] = []
            stream.on("error", lambda failure: error.append(type(failure).__name__))

            def end(completion: Completion) -> None:
                self.ended.append((outcome_of(completion.ended_by, *error), self.accumulator[stream]))

            stream.on("end", end)

        self.sink = sink

    def closings(self) -> list[tuple[str, str | None]]:
        return self.ended

    def output(self) -> str:
        return self.accumulator.text + repr(self.accumulator)


class PipeProbe(Probe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.completions: list[Completion] = []
        self.errors: list[StreamError] = []
        bus = EventEmitter()
        bus.on("end", self.completions.append)
        bus.on("error", self.errors.append)
        bus.on("*", lambda event: self.names.append(event.name))
        self.sink = pipe(bus)

    def closings(self) -> list[tuple[str, str | None]]:
        by_completion = {id(error.completion): type(error).__name__ for error in self.errors}
        return [
            (outcome_of(each.ended_by, by_completion.get(id(each))), each.text or None) for each in self.completions
        ]

    def output(self) -> str:
        return " ".join(self.names)


class PlainConsoleProbe(Probe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.out, self.err = io.StringIO(), io.StringIO()
        monkeypatch.setattr(sys, "stderr", self.err)
        self.sink = ConsoleSink(self.out, status=True)

    def closings(self) -> list[tuple[str, str | None]]:
        return [(_outcome_in(line), None) for line in self.err.getvalue().splitlines()]

    def output(self) -> str:
        return self.out.getvalue() + self.err.getvalue()


class MarkdownConsoleProbe(PlainConsoleProbe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("NO_COLOR", "COLUMNS", "LINES"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("TERM", "xterm")
        self.out = Tty()
        self.err = io.StringIO()
        self.sink = ConsoleSink(self.out, markdown=True)

    def closings(self) -> list[tuple[str, str | None]]:
        # Final figures are printed with a line end; those that stand below an open answer are erased again.
        lines = self.out.getvalue().splitlines()
        return [(_outcome_in(line), None) for line in lines if "chunk" in line and "~" not in line]


def _outcome_in(line: str) -> str:
    last = line.removesuffix("\x1b[0m").rpartition(" · ")[2]
    return {"aborted": "abort", "cancelled": "cancel"}.get(last, last if last[0].isupper() else "whole")


class PrometheusProbe(Probe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.registry = CollectorRegistry()
        self.sink = PrometheusSink(self.registry)

    def closings(self) -> list[tuple[str, str | None]]:
        samples = [sample for family in self.registry.collect() for sample in family.samples]
        assert sum(each.value for each in samples if each.name == "streamkit_streams_in_flight") == 0
        ended = {
            outcome_of(each.labels["ended_by"], each.labels["error"] or None): int(each.value)
            for each in samples
            if each.name == "streamkit_streams_total" and each.value
        }
        durations = sum(each.value for each in samples if each.name == "streamkit_stream_duration_seconds_count")
        assert durations == sum(ended.values())
        return [(outcome, None) for outcome, count in ended.items() for _ in range(count)]

    def output(self) -> str:
        return generate_latest(self.registry).decode()


class OTelProbe(Probe):
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv(CAPTURE, raising=False)
        self.telemetry = Telemetry()
        self.chunks = 0
        one = self.telemetry.sink()

        def sink(stream: CompletionStream) -> None:
            one(stream)
            stream.on("chunk", self._count)

        self.sink = sink

    def _count(self, chunk: object) -> None:
        self.chunks += 1

    def closings(self) -> list[tuple[str, str | None]]:
        points = self.telemetry.metrics().get("gen_ai.client.operation.duration", [])
        assert sum(point.count for point in points) == len(self.telemetry.spans)
        firsts, laters = (
            sum(point.count for point in self.telemetry.metrics().get(f"gen_ai.client.operation.{name}", []))
            for name in ("time_to_first_chunk", "time_per_output_chunk")
        )
        assert firsts + laters == self.chunks
        kinds = {None: "whole", "429": "StatusError", "asyncio.exceptions.CancelledError": "cancel"}
        kinds["streamkit.errors.StreamAborted"] = "abort"
        outcomes: list[tuple[str, str | None]] = []
        for span in self.telemetry.spans:
            kind = described(span).get("error.type")
            assert span.status.is_unset is (kind is None)
            outcomes.append((kinds.get(kind, str(kind).rpartition(".")[2]), None))
        return outcomes

    def output(self) -> str:
        points = [point for points in self.telemetry.metrics().values() for point in points]
        return "".join(span.to_json() for span in self.telemetry.spans) + repr(points)


PROBES: list[type[Probe]] = [
    StatsProbe,
    LogProbe,
    FullLogProbe,
    TranscriptProbe,
    PromptlessTranscriptProbe,
    TextProbe,
    PipeProbe,
    PlainConsoleProbe,
    MarkdownConsoleProbe,
    PrometheusProbe,
    OTelProbe,
]
