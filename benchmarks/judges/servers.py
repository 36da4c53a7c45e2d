"""Servers of OpenAI's API that others wrote, of fixed versions, for the driver to read from."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from .aimock import FIXTURES

__all__ = ["SERVERS", "Running", "Server", "Unstartable", "served"]

PATIENCE = 120.0
"""Seconds that a server may take until it listens: the largest takes 20 on an idle machine."""

WEATHER: Final = {
    "tools": [
        {
            "type": "function",
            "function": {
                "name": "get_weather",
                "description": "The weather in a city",
                "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
            },
        }
    ]
}


class Unstartable(Exception):
    """A server that does not run here; the message is one line."""


@dataclass(frozen=True)
class Server:
    """How to run one, and what to ask it.

    Args:
        name: with its version.
        command: for the folder of its package (an environment's `bin`, or `node_modules`) and a port.
        asks: the fields of the request, by case. What it cannot do is not asked.
        files: what has to lie in its working directory, by name.
        says: what comes of a case where it is not what comes of the others: see `driven.verdict`.
        environment: more variables.
    """

    name: str
    command: Callable[[Path, int], list[str]]
    asks: Mapping[str, Mapping[str, Any]]
    files: Mapping[str, str] = field(default_factory=dict)
    says: Mapping[str, str] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Running:
    """A server that listens."""

    base_url: str
    port: int
    _popen: subprocess.Popen[bytes]

    def kill(self, number: signal.Signals) -> None:
        """Send a signal to it and to the processes that it started."""
        if self._popen.poll() is None:
            os.killpg(self._popen.pid, number)


@contextmanager
def served(server: Server, home: Path) -> Iterator[Running]:
    """Run it in a folder of its own. Raises `Unstartable`, with the last line that it said."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in server.files.items():
            Path(folder, name).write_text(text, encoding="utf-8")
        log = Path(folder, "log")
        port = _free_port()
        environment = {**os.environ, "HOME": folder, **server.environment}
        with log.open("wb") as said:
            try:
                # A session of its own, so that its children end with it.
                popen = subprocess.Popen(
                    server.command(home, port),
                    cwd=folder,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=said,
                    stderr=said,
                    start_new_session=True,
                )
            except OSError as error:
                raise Unstartable(f"{server.name} does not start: {error}") from None
        running = Running(f"http://127.0.0.1:{port}/v1", port, popen)
        try:
            _wait_until_it_listens(server, popen, port, log)
            yield running
        finally:
            running.kill(signal.SIGKILL)
            popen.wait(10)


def _free_port() -> int:
    # Another process may take it meanwhile; most of these servers cannot choose one themselves and say which it is.
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_until_it_listens(server: Server, popen: subprocess.Popen[bytes], port: int, log: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            pass
        else:
            return
        ended = popen.poll()
        if ended is not None or time.monotonic() > until:
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "it said nothing")
            what = f"does not listen after {PATIENCE:.0f} s" if ended is None else f"ended with status {ended}"
            raise Unstartable(f"{server.name} {what}: {last}")
        time.sleep(0.05)


def _aimock(folder: Path, port: int) -> list[str]:
    script = folder / "@copilotkit/aimock/dist/cli.js"
    options = ["--host", "127.0.0.1", "--fixtures", "fixtures.json", "--strict", "--chunk-size", "5"]
    return ["node", str(script), "--port", str(port), *options]


def _katan(folder: Path, port: int) -> list[str]:
    options = ["--model", "tiny", "--backend", "echo", "--host", "127.0.0.1", "--itl-ms", "60"]
    keys = ["--validate-keys", "--api-keys", "openai=sk-test", "--stats-file", "stats.json"]
    return [str(folder / "llm-katan"), "--port", str(port), *options, *keys]


def _mock_ai_api(folder: Path, port: int) -> list[str]:
    # Its own command starts a second server, and leaves both behind when it is killed.
    return [str(folder / "python"), "-m", "uvicorn", "app.openai_app:app", "--host", "127.0.0.1", "--port", str(port)]


def _openai_mock_api(folder: Path, port: int) -> list[str]:
    return ["node", str(folder / "openai-mock-api/dist/cli.js"), "--config", "config.yaml", "--port", str(port)]


def _litellm(folder: Path, port: int) -> list[str]:
    options = ["--config", "config.yaml", "--host", "127.0.0.1", "--telemetry", "False"]
    return [str(folder / "litellm"), "--port", str(port), *options]


def _yaml(value: object) -> str:
    # JSON is YAML, but for characters that JSON writes as two escapes.
    return json.dumps(value, ensure_ascii=False)


def _conversation(name: str, **answer: Any) -> dict[str, Any]:
    user = {"role": "user", "content": name}
    return {"id": name, "messages": [user, {"role": "assistant", **answer}]}


def _mocked(name: str, **parameters: Any) -> dict[str, Any]:
    return {"model_name": name, "litellm_params": {"model": "openai/gpt-4o-mini", "api_key": "unused", **parameters}}


_CALL: Final = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "get_weather", "arguments": '{"city": "Oslo"}'},
}
_TEXT: Final = "Several words, größer, 🙂, and an end."


def _interrupted(**asked: str) -> dict[str, dict[str, str]]:
    """The cases in which the answer does not come to its end, of a model that takes its time."""
    return dict.fromkeys(("client leaves", "kill -9", "SIGTERM"), asked)


SERVERS: Final = [
    Server(
        "aimock 1.43.0",
        _aimock,
        {
            "text": {"model": "plain"},
            "tools": {"model": "tools", **WEATHER},
            "reasoning": {"model": "reasoning"},
            "wrong key": {"model": "plain", "key": "sk-wrong"},
            "unknown model": {"model": "nobody"},
            "too many": {"model": "too many"},
            **_interrupted(model="long"),
        },
        files={"fixtures.json": json.dumps({"fixtures": FIXTURES})},
        environment={"AIMOCK_API_KEYS": "sk-test"},
    ),
    Server(
        "llm-katan 0.22.0",
        _katan,
        {
            "text": {"model": "tiny"},
            "tools": {"model": "tiny", **WEATHER},
            "wrong key": {"model": "tiny", "key": "sk-wrong"},
            **_interrupted(model="tiny"),
        },
        # A whole JSON answer to a request for a stream: openai-python reads no chunk of it, and says nothing.
        says={"tools": "more"},
    ),
    Server(
        "mock-ai-api 0.1.1",
        _mock_ai_api,
        {
            "text": {"model": "gpt-4.1:mock-text"},
            "tools": {"model": "gpt-4.1:mock-tool-stream", **WEATHER},
            "wrong key": {"model": "gpt-4.1:mock-401"},
            "too many": {"model": "gpt-4.1:mock-429"},
            **_interrupted(model="gpt-4.1:mock-delay", question="and so on " * 40),
        },
    ),
    Server(
        "openai-mock-api 0.4.0",
        _openai_mock_api,
        {
            "text": {"model": "gpt-4o", "question": "text"},
            "tools": {"model": "gpt-4o", "question": "tools", **WEATHER},
            "wrong key": {"model": "gpt-4o", "question": "text", "key": "sk-wrong"},
        },
        files={
            "config.yaml": _yaml(
                {
                    "apiKey": "sk-test",
                    "responses": [
                        _conversation("text", content=_TEXT),
                        _conversation("tools", tool_calls=[_CALL]),
                    ],
                }
            )
        },
    ),
    Server(
        "litellm proxy 1.106.2",
        _litellm,
        {
            "text": {"model": "text"},
            "n=2": {"model": "text", "n": 2},
            "wrong key": {"model": "text", "key": "sk-wrong"},
            "unknown model": {"model": "nobody"},
            "too many": {"model": "busy"},
        },
        files={
            "config.yaml": _yaml(
                {
                    "model_list": [
                        _mocked("text", mock_response=_TEXT * 4),
                        _mocked("busy", mock_response="litellm.RateLimitError"),
                    ],
                    "general_settings": {"master_key": "sk-test"},
                }
            )
        },
        environment={"LITELLM_LOCAL_MODEL_COST_MAP": "True"},
    ),
]
