"""`streamkit inspect`: what a tape holds, as a table and a timeline."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from ..tape import load_tape
from ..tape.inspection import inspect_tape
from ..tape.svg import timeline_svg
from ..tape.timeline import timeline_lines
from .files import write_new

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from ..tape.inspection import Inspection
    from .console import Console

__all__ = ["run_inspect"]

_NARROWEST, _WIDEST = 40, 120
_LABEL: Final = 14


def run_inspect(options: Namespace, console: Console) -> None:
    """Print the table and the timeline of `options.tape`, or its figures as JSON; `options.svg` gets a picture.

    Raises:
        TapeError: `options.tape` is no tape.
        UsageError: `options.svg` exists, or cannot be made.
    """
    inspection = inspect_tape(load_tape(options.tape))
    name = Path(options.tape).name
    if options.svg is not None:
        write_new(options.svg, timeline_svg(inspection, name))
        if options.svg == "-":
            return
    if options.json:
        console.text(json.dumps({"tape": name, **inspection.as_dict()}, indent=2) + "\n")
        return
    # In a pipe, too: COLUMNS, or 80.
    width = max(_NARROWEST, min(_WIDEST, shutil.get_terminal_size().columns))
    lines = [
        name,
        "",
        *(f"{label:<{_LABEL}}{' '.join(value.split())}" for label, value in _table(inspection)),
        "",
        *timeline_lines(inspection, width, only_ascii=not _has_blocks(sys.stdout.encoding)),
    ]
    console.text("".join(_fitted(line, width) + "\n" for line in lines))


def _table(inspection: Inspection) -> Iterator[tuple[str, str]]:
    """What the tape is of, when things came, how much it was."""
    tape, completion, timings, counts = (
        inspection.tape,
        inspection.completion,
        inspection.completion.timings,
        inspection.counts,
    )
    if tape.created:
        yield "recorded", tape.created
    yield "request", _request(inspection)
    content_type = next((value for name, value in tape.headers if name.lower() == "content-type"), "")
    yield "answer", "none" if tape.status is None else f"{tape.status} {content_type}".rstrip()
    if completion.model:
        yield "model", completion.model
    torn = ", inside a line" if tape.torn else ""
    yield "end", f"{tape.ending or 'none: the tape breaks off'} at {tape.duration:.3f} s{torn}"
    yield "outcome", inspection.outcome
    yield "finish", ", ".join(choice.finish_reason or "none" for choice in completion.choices) or "none"
    yield "usage", "none reported" if completion.usage is None else str(completion.usage)
    yield "quirks", ", ".join(f"{kind} ({count})" for kind, count in completion.quirks.items()) or "none"
    yield "", ""
    for label, seconds in (
        ("headers", timings.connect),
        ("first byte", timings.first_read),
        ("first text", timings.first_text),
        ("last content", timings.last_chunk),
    ):
        if seconds is not None:
            yield label, f"{seconds:.3f} s"
    for place, gap in enumerate(inspection.gaps[:3]):
        label = "" if place else "longest gaps"
        yield label, f"{gap.seconds:.3f} s, from {gap.after} at {gap.start:.3f} s to {gap.before}"
    yield "", ""
    yield "reads", f"{len(tape.reads):,}, {len(tape.body):,} bytes"
    yield "chunks", f"{counts['chunk']:,}{_rate(inspection)}"
    for label, text in (
        ("text", completion.text),
        ("reasoning", completion.reasoning),
        ("refusal", completion.refusal),
    ):
        if text:
            yield label, f"{len(text):,} characters in {counts[label]:,} pieces"
    if completion.tool_calls:
        yield "tool calls", ", ".join(call.name for call in completion.tool_calls)
    if counts["heartbeat"]:
        yield "keep-alives", f"{counts['heartbeat']:,}"


def _request(inspection: Inspection) -> str:
    """What was asked for, without the prompt."""
    request = inspection.tape.request
    body = request.get("body")
    if not isinstance(body, dict):
        return "not recorded"
    messages = body.get("messages")
    count = len(messages) if isinstance(messages, list) else 0
    parts = [str(body["model"])] if body.get("model") else []
    parts.append(f"{count} message{'s'[: count != 1]}")
    if isinstance(tools := body.get("tools"), list):
        parts.append(f"{len(tools)} tool{'s'[: len(tools) != 1]}")
    if request.get("attempt"):
        parts.append(f"attempt {request['attempt']}")
    return ", ".join(parts)


def _rate(inspection: Inspection) -> str:
    timings = inspection.completion.timings
    seconds = (timings.last_chunk or 0.0) - (timings.first_chunk or 0.0)
    return f", {(inspection.counts['chunk'] - 1) / seconds:,.1f} a second" if seconds > 0 else ""


def _fitted(line: str, width: int) -> str:
    line = line.rstrip()
    return line if len(line) <= width else line[: width - 3] + "..."


def _has_blocks(encoding: str | None) -> bool:
    try:
        "▁█".encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True
