"""The page of a run: Markdown, every cell computed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from .client import PATIENCE
from .report import Report, Result
from .verdict import Kind, Verdict

__all__ = ["page"]

INTRODUCTION = """\
# What real feeds do, and what comes of it

<!-- Written by `python -m benchmarks rows`: change the rows in benchmarks/rows, not this page. -->

Each row is something that real completion servers send, sometimes in several shapes. A raw server sends the same bytes
over HTTP to every system, each in a process of its own, and what the system ends with is compared with what the row asks
for. The rows, the bytes and the comparison are in `benchmarks/rows`; nothing on this page is written by hand.

- **right**: the outcome of the row.
- **clean error**: an error of the system's own classes, but an answer was there; or the error is due, but what the server
  said, or text that had arrived, is not in it.
- **wrong silently**: it ends as if all were well, and it is not: text, calls, usage or the finish_reason are wrong, an
  error is missing, the event loop was blocked.
- **crash**: an exception that is not the system's own: a TypeError, another library's.
- **hang**: no end within {patience:g} seconds, where the row asks for one.
- **n.a.**: the system does not claim to do what the row is about.

A row counts as its worst shape; in brackets, how many of its shapes are right. No system retries; where a limit runs out
it is the same for all; around a client without an accumulator stands the loop that its documentation shows. streamkit is
played every row whole and once more in one-byte writes, and is held to more than the others: the class and the attributes
of the error, the events, the quirks that are counted.

To play the rows yourself, in a checkout:

    make rows

which finds the peers that are installed there; `ARGS="--help"` says how to name others, and how to write this page.

"""


def page(report: Report) -> str:
    """The whole page."""
    parts = [INTRODUCTION.format(patience=PATIENCE), *_played(report), *_totals(report), *_rows(report)]
    return "".join(parts) + "".join(_quirks(report)) + "".join(_shapes(report))


def _played(report: Report) -> Iterator[str]:
    yield f"Played on {report.date}.\n\n| system | versions |\n|---|---|\n"
    for result in report.results:
        versions = ", ".join(f"{name} {version}" for name, version in result.versions.items())
        yield f"| {result.name} | {f'not installed: {result.missing}' if result.missing else versions} |\n"


def _totals(report: Report) -> Iterator[str]:
    kinds = [*list(Kind)[1:], Kind.NOT_APPLICABLE]
    yield "\n## In total\n\nRows, by their worst shape.\n\n| system |" + "".join(f" {kind.value} |" for kind in kinds)
    yield "\n|---|" + "---:|" * len(kinds) + "\n"
    for result in _there(report):
        counted = Counter(_worst(result.of(row)).kind for row in report.rows)
        yield f"| {result.name} |" + "".join(f" {counted[kind]} |" for kind in kinds) + "\n"


def _rows(report: Report) -> Iterator[str]:
    results = _there(report)
    yield "\n## Row by row\n\n| # | on the wire | asked for |" + "".join(f" {result.name} |" for result in results)
    yield "\n|---|---|---|" + "---|" * len(results) + "\n"
    for row in report.rows:
        cells = "".join(f" {_cell(result.of(row))} |" for result in results)
        yield f"| {row.number} | {_escaped(row.wire)} | {_escaped(row.outcome)} |{cells}\n"


def _quirks(report: Report) -> Iterator[str]:
    yield "\n## Quirks\n\nThe names under which `completion.quirks` counts what was mended or skipped, and the rows that "
    yield "meet them.\n\n| quirk | rows |\n|---|---|\n"
    met: dict[str, list[str]] = {}
    for row in report.rows:
        for name in dict.fromkeys(name for case in row.cases for name in case.expected.quirks):
            met.setdefault(name, []).append(row.number)
    for name in sorted(met):
        yield f"| `{name}` | {', '.join(met[name])} |\n"


def _shapes(report: Report) -> Iterator[str]:
    results = [result for result in _there(report) if any(v.why for v in result.verdicts.values())]
    yield "\n## What was not right\n\nEvery shape that some system did not get right, and what it made of it.\n"
    for row in report.rows:
        for place, case in enumerate(row.cases):
            told = [(result.name, result.verdicts[row.number, place]) for result in results]
            told = [(name, verdict) for name, verdict in told if verdict.why]
            if told:
                yield f"\n**{row.number}**, {_escaped(case.name)}\n\n"
            for name, verdict in told:
                yield f"- {name}: {verdict.kind.value}: {_code(verdict.why)}\n"


def _there(report: Report) -> list[Result]:
    return [result for result in report.results if result.missing is None]


def _worst(verdicts: list[Verdict]) -> Verdict:
    return max(verdicts, key=lambda verdict: verdict.kind.rank)


def _cell(verdicts: list[Verdict]) -> str:
    worst = _worst(verdicts).kind
    played = [verdict for verdict in verdicts if verdict.kind is not Kind.NOT_APPLICABLE]
    right = sum(verdict.kind is Kind.RIGHT for verdict in played)
    if worst in {Kind.RIGHT, Kind.NOT_APPLICABLE} or len(played) == 1:
        return worst.value
    return f"{worst.value} ({right} of {len(played)})"


def _escaped(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


def _code(text: str) -> str:
    """The text as code, in one line that is not too long."""
    line = " ".join(text.split())
    line = line if len(line) <= 160 else line[:159] + "…"
    return f"`` {line} ``" if "`" in line else f"`{line}`"
