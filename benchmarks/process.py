"""The processes that a benchmark runs: spoken to in JSON lines."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

__all__ = ["ROOT", "Process"]

ROOT = Path(__file__).resolve().parents[1]
"""Where `python -m benchmarks.…` finds the package."""


class Process:
    """A child that is spoken to in JSON lines, and stops when its standard input is closed."""

    def __init__(self, popen: subprocess.Popen[str]) -> None:
        self._popen = popen

    @classmethod
    @contextmanager
    def running(cls, command: list[str], cwd: Path) -> Iterator[Process]:
        # No proxy stands between two processes of one machine; no debug mode slows one contender and not the next.
        unwanted = {"PYTHONASYNCIODEBUG", "PYTHONDEVMODE", "OPENAI_BASE_URL", "OPENAI_API_KEY"}
        env = {k: v for k, v in os.environ.items() if k not in unwanted and not k.lower().endswith("_proxy")}
        pipe = subprocess.PIPE
        with subprocess.Popen(command, cwd=cwd, env=env, stdin=pipe, stdout=pipe, text=True) as popen:
            try:
                yield cls(popen)
            finally:
                if popen.stdin is not None:
                    popen.stdin.close()
                try:
                    popen.wait(10)
                except subprocess.TimeoutExpired:
                    popen.kill()

    def receive(self) -> dict[str, Any]:
        assert self._popen.stdout is not None  # for the type checker: it was asked for as a pipe
        line = self._popen.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._popen.args!r} stopped without an answer; its own words are on standard error")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def ask(self, question: dict[str, Any]) -> dict[str, Any]:
        assert self._popen.stdin is not None  # for the type checker: it was asked for as a pipe
        self._popen.stdin.write(json.dumps(question) + "\n")
        self._popen.stdin.flush()
        return self.receive()
