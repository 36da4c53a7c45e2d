"""Memory: of a thousand open streams that say nothing, and of one stream of a million chunks whose text nobody keeps.

``python -m benchmarks memory``. Each figure comes from a new process, in which a twentieth of the streams were
opened beforehand to warm it up. "Resident" is what the process grew by (/proc/self/statm), without what the kernel
keeps for its sockets; "traced" is what tracemalloc saw Python code ask for, by whose code it was. The floor is aiohttp
with nothing of ours.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import Any

from .many import WAYS
from .process import ROOT, Process
from .results import add_json_option, positive, save

__all__ = ["main", "measure"]

SECTION = "memory"
LONG_WAYS = ("floor", "streamkit")


def _asked(way: str, mode: str, question: dict[str, Any]) -> dict[str, Any]:
    python = [sys.executable, "-m"]
    with (
        Process.running([*python, "benchmarks.load_server"], ROOT) as server,
        Process.running([*python, "benchmarks.memory_reader", way], ROOT) as reader,
    ):
        if (missing := reader.receive().get("missing")) is not None:
            return {"missing": missing}
        return reader.ask({"base_url": f"http://127.0.0.1:{server.receive()['port']}/{mode}/v1", **question})


def measure(streams: int, chunks: int) -> dict[str, Any]:
    """The bytes of an idle stream for every way; the growth over a long one for the floor and streamkit."""
    idle: dict[str, Any] = {}
    for way in WAYS:
        plain = _asked(way, "idle", {"idle": streams, "traced": False})
        idle[way] = plain
        if "resident" in plain:
            idle[way] = _asked(way, "idle", {"idle": streams, "traced": True}) | plain
    return {
        "streams": streams,
        "chunks": chunks,
        "idle": idle,
        "long": {way: _asked(way, f"long/{chunks}", {"long": chunks}) for way in LONG_WAYS},
    }


def growth(samples: list[list[int]]) -> tuple[int, int]:
    """Over the last four fifths of a stream: characters of text, bytes resident. The allocator's pools come before."""
    early = samples[: max(len(samples) // 5, 1)]
    _, last_text, last_memory = samples[-1]
    return last_text - early[-1][1], last_memory - max(memory for _, _, memory in early)


def table(measured: dict[str, Any]) -> str:
    """The figures as aligned text."""
    lines = [f"{measured['streams']:,} idle streams, KB (1,000 bytes) a stream", ""]
    for way, figures in measured["idle"].items():
        if "failed" in figures or "missing" in figures:
            lines.append(f"{way:16}{figures.get('failed') or 'not installed: ' + figures['missing']}")
            continue
        owners = ", ".join(f"{owner} {size / 1000:.1f}" for owner, size in figures["traced"].items() if size > 500)
        lines.append(f"{way:16}{figures['resident'] / 1000:7.1f} resident; traced: {owners}")
    lines += ["", f"one stream of {measured['chunks']:,} chunks, text not kept; over the last four fifths", ""]
    for way, figures in measured["long"].items():
        if "samples" not in figures:
            lines.append(f"{way:16}{figures.get('failed') or 'not installed: ' + figures['missing']}")
            continue
        characters, grown = growth(figures["samples"])
        lines.append(f"{way:16}{grown / 1000:9,.0f} KB resident for {characters / 1000:,.0f} KB of text")
    return "\n".join(lines)


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks memory", description=__doc__)
    parser.add_argument("--streams", type=positive, default=1000, help="default %(default)s")
    parser.add_argument("--chunks", type=positive, default=1_000_000, help="default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    if not Path("/proc/self/statm").exists():
        parser.error("this system has no /proc/self/statm: measure on Linux")
    measured = measure(options.streams, options.chunks)
    print(table(measured))
    save(options.json, SECTION, measured)
    return 0
