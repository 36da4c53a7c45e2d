"""The tables of docs/benchmarks.md, written between the marks that are in it; its prose holds no figure."""

from __future__ import annotations

import re
import statistics
from collections.abc import Iterable
from typing import Any

from .concurrent import median_of
from .figures import OURS, medians, targets, times
from .memory import growth

__all__ = ["TABLES", "fill"]


def _table(header: list[str], rows: Iterable[list[str]]) -> str:
    lines = ["| " + " | ".join(cells) + " |" for cells in (header, *rows)]
    lines.insert(1, "|---|" + "--:|" * (len(header) - 1))
    return "\n".join(lines)


def _machines(results: dict[str, Any]) -> str:
    """What each part was measured on: one line if that was the same for all."""
    parts: dict[str, list[str]] = {}
    for name, section in results.items():
        on = section["machine"]
        packages = ", ".join(f"{package} {version}" for package, version in on["packages"].items())
        line = f"{on['cpu']}, {on['cpus']} CPUs; {on['system']}; {on['python']}; {packages}."
        parts.setdefault(line, []).append(f"`{name}`")
    if len(parts) == 1:
        return f"Measured on: {next(iter(parts))}"
    return "\n".join(f"- {', '.join(names)} measured on: {line}" for line, names in parts.items())


def _targets(results: dict[str, Any]) -> str:
    rows = ([target.promise, target.found, "yes" if target.kept else "**no**"] for target in targets(results))
    return "\n\n".join([_table(["promised", "found", "kept"], rows), _machines(results)])


def _cpu(results: dict[str, Any]) -> str:
    cpu = results["cpu"]
    modes = list(cpu["events"])
    rows = []
    for name, figures in medians(cpu).items():
        cells = [f"{figures[mode]:.1f}" for mode in modes]
        ratios = [times(cpu, name, OURS, mode) for mode in modes]
        rows.append([f"`{name}`", *cells, *("" if ratio is None else f"{ratio:.1f}×" for ratio in ratios)])
    header = ["", *(f"`{mode}`, µs" for mode in modes), *(f"`{mode}`, ×" for mode in modes)]
    reads = {
        mode: cpu["events"][mode] / figures["reads"]
        for mode, figures in cpu["contenders"][0]["modes"].items()
        if figures["reads"]
    }
    versions = {name: version for row in cpu["contenders"] for name, version in row["versions"].items()}
    rounds = len(next(iter(cpu["contenders"][0]["modes"].values()))["microseconds"])
    said = ", ".join(f"{number:.1f} in `{mode}`" for mode, number in reads.items())
    peers = ", ".join(f"{name} {version}" for name, version in versions.items() if name.startswith(("npm:", "node")))
    return "\n\n".join(
        [
            _table(header, rows),
            f"Medians of {rounds} rounds; × is how many times what streamkit with its two listeners took. "
            f"Events that the floor found in a read: {said}." + (f" Node's side: {peers}." if peers else ""),
        ]
    )


def _emit(results: dict[str, Any]) -> str:
    emit = results["emit"]
    numbers = list(next(iter(emit["nanoseconds"].values())))
    rows = (
        [way, *(f"{statistics.median(rounds):,.0f}" for rounds in figures.values())]
        for way, figures in emit["nanoseconds"].items()
    )
    header = ["ns an event, listeners:", *numbers]
    return "\n\n".join([_table(header, rows), f"Medians of {emit['rounds']} rounds."])


def _concurrent(results: dict[str, Any]) -> str:
    concurrent = results["concurrent"]
    rows = []
    for way, sizes in concurrent["ways"].items():
        for size, rounds in sizes.items():
            cells = [way, f"{int(size):,}"]
            if median_of(rounds, "cpu_share") is None:
                why = "did not open them" if "failed" in rounds[0] else "not installed"
                rows.append([*cells, why, *[""] * 5])
                continue
            found = {name: median_of(rounds, name) or 0.0 for name in rounds[0]}
            kept = found["events_a_second"] / (int(size) * concurrent["rate"])
            rows.append(
                [
                    *cells,
                    f"{found['cpu_share']:.0%}",
                    f"{found['microseconds_an_event']:.1f}",
                    f"{min(kept, 1):.0%}",
                    f"{found['p50_ms']:,.1f}",
                    f"{found['p99_ms']:,.1f}",
                    f"{found['waited_share']:.0%}",
                ]
            )
    header = [
        "",
        "streams",
        "CPU of a core",
        "µs an event",
        "events that came in time",
        "p50, ms",
        "p99, ms",
        "waited for its core",
    ]
    cores = "a core each for server and reader" if concurrent["pinned"] else "server and reader not pinned to cores"
    note = (
        f"{concurrent['rate']} events a second a stream, measured for {concurrent['seconds']:g} s, "
        f"medians of {concurrent['rounds']} rounds, {cores}."
    )
    return "\n\n".join([_table(header, rows), note])


def _fanout(results: dict[str, Any]) -> str:
    fanout = results["fanout"]
    rows = []
    for way, rounds in fanout["ways"].items():
        if median_of(rounds, "cpu_share") is None:
            rows.append([way, "did not deliver" if "failed" in rounds[0] else "not installed", *[""] * 4])
            continue
        found = {name: median_of(rounds, name) or 0.0 for name in rounds[0]}
        rows.append(
            [
                way,
                f"{found['microseconds_an_event']:.1f}",
                f"{found['cpu_share']:.0%}",
                f"{found['resident_a_reader'] / 1000:.1f}",
                f"{found['p50_ms']:.1f}",
                f"{found['p99_ms']:.1f}",
            ]
        )
    header = ["", "µs a delivered event", "CPU of a core", "KB a reader", "p50, ms", "p99, ms"]
    cores = "a core each for server and readers" if fanout["pinned"] else "server and readers not pinned to cores"
    note = (
        f"{fanout['readers']} readers at {fanout['rate']} events a second, measured for {fanout['seconds']:g} s; "
        f"memory: of {fanout['waiting']:,} that wait; "
        f"medians of {fanout['rounds']} rounds, {cores}."
    )
    return "\n\n".join([_table(header, rows), note])


def _memory(results: dict[str, Any]) -> str:
    memory = results["memory"]
    rows = []
    for way, figures in memory["idle"].items():
        if "failed" in figures or "missing" in figures:
            rows.append([way, "did not open them" if "failed" in figures else "not installed", ""])
            continue
        owners = [f"{owner} {size / 1000:.1f}" for owner, size in figures["traced"].items() if size >= 500]
        rows.append([way, f"{figures['resident'] / 1000:.1f}", ", ".join(owners)])
    long = []
    for way, figures in memory["long"].items():
        if "samples" in figures:
            characters, grown = growth(figures["samples"])
            long.append([way, f"{characters / 1000:,.0f}", f"{grown / 1000:,.0f}"])
    return "\n\n".join(
        [
            f"{memory['streams']:,} idle streams:",
            _table(["KB a stream", "resident", "traced, by whose code asked for it"], rows),
            f"One stream of {memory['chunks']:,} chunks whose text nobody keeps, its last four fifths:",
            _table(["", "KB of text", "KB that the process grew by"], long),
        ]
    )


def _imports(results: dict[str, Any]) -> str:
    imports = results["imports"]
    needed, added = (statistics.median(imports[name]) * 1000 for name in ("needed_seconds", "added_seconds"))
    foreign = ", ".join(imports["foreign"]) or "none"
    return "\n\n".join(
        [
            _table(
                ["", "CPU, ms"],
                [["`import aiohttp, msgspec, pyee`", f"{needed:.0f}"], ["`import streamkit` after it", f"{added:.0f}"]],
            ),
            f"Medians of {imports['rounds']} new processes. Modules from elsewhere that it brings in: {foreign}.",
        ]
    )


TABLES = {
    "targets": _targets,
    "cpu": _cpu,
    "emit": _emit,
    "concurrent": _concurrent,
    "fanout": _fanout,
    "memory": _memory,
    "imports": _imports,
}


def fill(text: str, results: dict[str, Any]) -> str:
    """The page with each table for which there are results made anew.

    >>> fill("<!-- imports -->\\nold\\n<!-- end -->", {})
    '<!-- imports -->\\nold\\n<!-- end -->'
    """

    def made(match: re.Match[str]) -> str:
        name = match[1]
        if name != "targets" and name not in results:
            return match[0]
        return f"<!-- {name} -->\n\n{TABLES[name](results)}\n\n<!-- end -->"

    return re.sub(rf"<!-- ({'|'.join(TABLES)}) -->\n.*?<!-- end -->", made, text, flags=re.DOTALL)
