"""What a stream does to a window: ``python -m benchmarks windows``, for Tk with a display (``xvfb-run -a`` brings one).

2,000 tokens, at 1,000 a second and at 20,000, shown by ``bind`` in a QPlainTextEdit, a tkinter.Text and a Textual Log, and
beside that by one write a token. A timer of the toolkit's beats every 10 ms meanwhile: the longest time between two beats is how
long the window hung. Then, in the middle of an answer, Stop is pressed: how long until the server sees the close. The text
has no line breaks, which is the worst for a text widget. The window runs in a process of its own, the server in this one.

Of all rounds the least counts, because others on the machine only ever add. Exits with 1 if a window hung for longer than it
may, a character is missing, or Stop took too long.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from typing import Any

from streamkit.loop_thread import LoopThread
from streamkit.testing import At, Hang, Send, chunk, completion_server, sse

from .process import ROOT
from .results import add_json_option, positive, save
from .windows_probe import TOOLKITS, WORDS, words

__all__ = ["main", "measure"]

TOKENS = 2000
LIMITS = {1_000: 0.050, 20_000: 0.100}
"""Seconds that a window may hang, by tokens a second."""

STOP_SECONDS = 0.100

Figures = dict[str, Any]


def _script(tokens: int, rate: int, *, endless: bool = False) -> list[Any]:
    """So many tokens at that rate: as writes that are a millisecond apart, or more."""
    texts = words(tokens)
    group = max(rate // 1000, 1)
    steps: list[Any] = []
    for first in range(0, tokens, group):
        data = sse(*map(chunk, texts[first : first + group]), done=False)
        steps += [At(first / rate), Send(data)]
    return [*steps, Hang()] if endless else [*steps, Send(sse(chunk(finish_reason="stop")))]


def _run(toolkit: str, way: str, tokens: int, script: list[Any], *, stop: bool = False) -> Figures:
    with LoopThread("server") as thread, thread.enter(completion_server(script)) as server:
        command = [sys.executable, "-m", "benchmarks.windows_probe", toolkit, way, str(tokens), server.base_url]
        process = subprocess.run(
            [*command, *(["--stop"] if stop else [])],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if process.returncode:
            return {"error": process.stderr.strip().rpartition("\n")[2] or f"exit status {process.returncode}"}
        figures: Figures = json.loads(process.stdout)
        [request] = server.requests
        if stop:
            thread.submit(request.closed.wait()).result(10)
            figures["close"] = (request.closed_at or 0.0) - figures.pop("stopped_at")
        return figures


def measure(toolkits: list[str], tokens: int, rounds: int) -> dict[str, Figures]:
    """By toolkit: by "rate way" the seconds that it hung and took, and whether all was shown; by "stop" those to the close.

    Where a toolkit cannot be measured, `error` says why.
    """
    found: dict[str, Figures] = {}
    for toolkit in toolkits:
        figures = found[toolkit] = {}
        for rate in LIMITS:
            for way in ("bind", "naive"):
                runs = [_run(toolkit, way, tokens, _script(tokens, rate)) for _ in range(rounds)]
                if errors := [run["error"] for run in runs if "error" in run]:
                    figures["error"] = errors[0]
                    break
                figures[f"{rate} {way}"] = {
                    "stall": min(run["stall"] for run in runs),
                    "seconds": min(run["seconds"] for run in runs),
                    "whole": all(run["whole"] for run in runs),
                }
            if "error" in figures:
                break
        else:
            stops = [
                _run(toolkit, "bind", tokens, _script(tokens, 1000, endless=True), stop=True) for _ in range(rounds)
            ]
            figures["stop"] = min(run["close"] for run in stops)
    return found


def _judge(toolkit: str, figures: Figures) -> list[str]:
    """What is not as it must be."""
    if "error" in figures:
        return [f"{toolkit}: {figures['error']}"]
    missed = []
    for rate, limit in LIMITS.items():
        shown = figures[f"{rate} bind"]
        if shown["stall"] > limit:
            missed.append(
                f"{toolkit} hung for {shown['stall'] * 1000:.0f} ms at {rate:,} tokens/s, of {limit * 1000:.0f}"
            )
        missed += [
            f"{toolkit} does not show the text as it came, at {rate:,} tokens/s: {way}"
            for way in ("bind", "naive")
            if not figures[f"{rate} {way}"]["whole"]
        ]
    if figures["stop"] > STOP_SECONDS:
        missed.append(
            f"{toolkit}: {figures['stop'] * 1000:.0f} ms from Stop to the close, of {STOP_SECONDS * 1000:.0f}"
        )
    return missed


def main(argv: list[str]) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks windows", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("toolkits", nargs="*", metavar="TOOLKIT", help=f"default: {' '.join(TOOLKITS)}")
    parser.add_argument("--tokens", type=positive, default=TOKENS, help="default %(default)s")
    parser.add_argument("--rounds", type=positive, default=5, help="default %(default)s")
    add_json_option(parser)
    options = parser.parse_args(argv)
    if unknown := [name for name in options.toolkits if name not in TOOLKITS]:
        parser.error(f"no toolkit is called {', '.join(unknown)}; there are {', '.join(TOOLKITS)}")
    found = measure(options.toolkits or list(TOOLKITS), options.tokens, options.rounds)
    print(f"{options.tokens:,} tokens of {len(''.join(WORDS)) / len(WORDS):.1f} characters; hung for, in all\n")
    print(f"{'':<10}{'tokens/s':>9}  {'bind':>9}{'':>9}  {'a write a token':>20}")
    for toolkit, figures in found.items():
        if "error" not in figures:
            for rate in LIMITS:
                ways = [figures[f"{rate} {way}"] for way in ("bind", "naive")]
                cells = "  ".join(f"{way['stall'] * 1000:>6.0f} ms{way['seconds']:>7.2f} s" for way in ways)
                print(f"{toolkit:<10}{rate:>9,}  {cells}")
            print(f"{toolkit:<10}{'Stop':>9}  {figures['stop'] * 1000:>6.1f} ms until the server saw the close")
    save(options.json, "windows", found)
    missed = [each for toolkit, figures in found.items() for each in _judge(toolkit, figures)]
    for each in missed:
        print(f"FAIL {each}")
    return 1 if missed else 0
