"""Plays every row to every system, and writes the page: ``python -m benchmarks rows``."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import os
import re
import shutil
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from .case import Case, Row
from .client import PATIENCE
from .seen import Seen
from .systems import SYSTEMS
from .table import ROWS
from .verdict import Kind, Verdict, judge

__all__ = ["STREAMKIT", "Report", "Result", "play"]

ROOT = Path(__file__).resolve().parents[2]
STREAMKIT = "streamkit"
MODES = ("whole", "bytes")
LONG_PATIENCE = 60.0
"""For what is about how long the loop is blocked, and not about how long it takes."""


@dataclass
class Result:
    """A system: its versions, or why it was not played; its verdicts by row number and place of the case."""

    name: str
    versions: dict[str, str] = field(default_factory=dict)
    missing: str | None = None
    verdicts: dict[tuple[str, int], Verdict] = field(default_factory=dict)

    def of(self, row: Row) -> list[Verdict]:
        """The verdicts on the cases of a row."""
        return [self.verdicts[row.number, place] for place in range(len(row.cases))]


@dataclass
class Report:
    """A run: the rows that were played, and what came of them."""

    rows: Sequence[Row]
    results: list[Result]
    date: str

    def failures(self) -> list[str]:
        """Where streamkit is not right; and what of it was not played at all."""
        [own] = [result for result in self.results if result.name == STREAMKIT]
        if own.missing:
            return [f"streamkit was not played: {own.missing} is missing"]
        return [
            f"row {row.number}, {case.name}: {verdict.kind.value}: {verdict.why}"
            for row in self.rows
            for case, verdict in zip(row.cases, own.of(row), strict=True)
            if verdict.kind is not Kind.RIGHT
        ]


async def play(
    rows: Sequence[Row] = ROWS,
    systems: Sequence[str] = tuple(SYSTEMS),
    *,
    pythons: Sequence[Path] = (),
    node: Path | None = None,
) -> Report:
    """Play the rows to the systems.

    Args:
        rows: which rows.
        systems: which systems, by name.
        pythons: interpreters of other environments in which to look for a peer that this one has not.
        node: a folder with the npm packages of the node system.
    """
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(_process([sys.executable, "-m", "benchmarks.rows.server"], ROOT, {}))
        ways = json.loads(await _line(server, 30))
        results = []
        for name in systems:
            result = Result(name)
            results.append(result)
            async with _Client(name, [Path(sys.executable), *pythons], node, ways) as client:
                result.versions, result.missing = client.versions, client.missing
                if client.missing is None:
                    await _play_all(client, rows, result)
        return Report(rows, results, dt.datetime.now(dt.UTC).date().isoformat())


async def _play_all(client: _Client, rows: Sequence[Row], result: Result) -> None:
    for row in rows:
        for place, case in enumerate(row.cases):
            has = SYSTEMS[result.name].has
            if case.needs - has or (case.via != "proxy" and case.via not in client.ways):
                result.verdicts[row.number, place] = Verdict(Kind.NOT_APPLICABLE)
                continue
            strict = result.name == STREAMKIT
            verdicts = [
                judge(case, await client.ask(row, place, case, mode), has, strict=strict)
                for mode in (MODES if strict and case.split else MODES[:1])
            ]
            result.verdicts[row.number, place] = max(verdicts, key=lambda verdict: verdict.kind.rank)


class _Client:
    """The process of one system, which is begun anew when it dies or hangs."""

    def __init__(self, name: str, pythons: Sequence[Path], node: Path | None, ways: dict[str, str]) -> None:
        self.ways = ways
        self.versions: dict[str, str] = {}
        self.missing: str | None = "node, or no --node folder"
        self._name = name
        self._key = re.sub(r"\W+", "-", name)
        self._commands: list[tuple[list[str], Path]] = []
        script, executable = SYSTEMS[name].node, shutil.which("node")
        if script is None:
            self._commands = [([str(python), "-m", "benchmarks.rows.client", name], ROOT) for python in pythons]
        elif executable and node:
            self._commands = [([executable, str(Path(__file__).with_name(script))], node)]
        self._stack = AsyncExitStack()
        self._running: asyncio.subprocess.Process | None = None
        self._runs = 0

    async def __aenter__(self) -> Self:
        for command in self._commands:
            self._commands = [command]
            hello = await self._begin()
            self.versions, self.missing = hello.get("versions", {}), hello.get("missing")
            if self.missing is None:
                break
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._stack.aclose()

    async def _begin(self) -> dict[str, Any]:
        await self._stack.aclose()
        self._stack = AsyncExitStack()
        proxied = {"HTTP_PROXY": self.ways["proxy_at"], "http_proxy": self.ways["proxy_at"]}
        direct = "127.0.0.1,localhost,::1"
        environment = {**proxied, "NO_PROXY": direct, "no_proxy": direct}
        environment["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # or its import asks the network
        command, folder = self._commands[0]
        self._running = await self._stack.enter_async_context(_process(command, folder, environment))
        hello: dict[str, Any] = json.loads(await _line(self._running, 60))
        return hello

    async def ask(self, row: Row, place: int, case: Case, mode: str) -> Seen:
        """Play a case; a process that dies of it has crashed, one that does not answer hangs."""
        if self._running is None:
            await self._begin()
        process = self._running
        assert process is not None
        assert process.stdin is not None
        self._runs += 1
        patience = PATIENCE if case.blocked is None else LONG_PATIENCE
        unix = self.ways.get("unix") if case.via == "unix" else None
        base = "http://localhost" if unix else self.ways[case.via]
        question = {
            "base_url": f"{base}/{self._key}-{self._runs}/{mode}/{row.number}/{place}/v1",
            "timeout": case.timeout,
            "pause": case.pause,
            "warm": case.warm,
            "blocked": case.blocked is not None,
            "patience": patience,
            "unix": unix,
            "options": dict(case.options) if self._name == STREAMKIT else {},
        }
        process.stdin.write(json.dumps(question).encode() + b"\n")
        try:
            line = await _line(process, patience + 3 * PATIENCE)
        except TimeoutError:
            self._running = None
            return Seen("hang")
        if not line:
            self._running = None
            return Seen("crash", {"class": "the process died", "message": f"status {await process.wait()}"})
        seen = Seen.from_json(line)
        if seen.ending == "hang":
            self._running = None  # what it is stuck in would disturb the next case
        return seen


@asynccontextmanager
async def _process(
    command: list[str], folder: Path, environment: dict[str, str]
) -> AsyncIterator[asyncio.subprocess.Process]:
    unwanted = {"PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "OPENAI_BASE_URL", "OPENAI_API_KEY"}
    kept = {k: v for k, v in os.environ.items() if k not in unwanted and not k.lower().endswith("_proxy")}
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *command, cwd=folder, env={**kept, **environment}, stdin=pipe, stdout=pipe, limit=2**24
    )
    try:
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 2)
        except TimeoutError:
            process.kill()
            await process.wait()


async def _line(process: asyncio.subprocess.Process, patience: float) -> bytes:
    assert process.stdout is not None
    return await asyncio.wait_for(process.stdout.readline(), patience)
