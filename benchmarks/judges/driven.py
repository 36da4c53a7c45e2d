"""streamkit's driver reads real servers, beside openai-python: what one of them reads the other has to read."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from streamkit import Completion, CompletionStream, StreamDriver, StreamError, Timeout

from ..process import Process
from .client import PROGRAMS, ProcessClient
from .saw import Saw, saw_chunks
from .servers import Running, Server, Unstartable, served
from .table import Cells

__all__ = ["CASES", "Read", "driven", "verdict"]

CASES: Final = {
    "text": "a text, and the usage where the server counts",
    "n=2": "two choices",
    "tools": "tool calls",
    "reasoning": "reasoning, then a text",
    "wrong key": "a key that the server does not know, or plays not to know",
    "unknown model": "a model that the server does not have",
    "too many": "429",
    "client leaves": "the stream is aborted after some text",
    "kill -9": "the server is killed in the middle of an answer",
    "SIGTERM": "the server is told to stop in the middle of an answer",
}
"""What each is about, by name."""

REFUSALS: Final = {"wrong key", "unknown model", "too many"}
ENDINGS: Final = {"kill -9": signal.SIGKILL, "SIGTERM": signal.SIGTERM}

LEFT_WITHIN = 0.5
"""Seconds in which the server has to see that an aborted stream's connection is closed."""

AGAIN = 2
"""How often two different answers are asked for again: llm-katan writes the second into its text, and the two may be of two."""

STOPPED_WITHIN = 20.0
"""Seconds that a server gets to stop when it is told to; some finish their answers first."""


@dataclass(frozen=True)
class Read:
    """What a client read of an answer: each choice, and the error that it was told."""

    choices: tuple[Saw, ...]
    error: Mapping[str, Any] | None = None

    def said(self) -> list[dict[str, Any]]:
        """What can be compared: no error, of the usage the three counts, and of the ids of calls, which some servers make up for
        each answer, whether there is one.
        """
        return [
            {
                **saw.said(),
                "usage": _counts(saw.usage),
                "tool_calls": [[name, arguments, bool(id_)] for name, arguments, id_ in saw.tool_calls],
            }
            for saw in self.choices
        ]

    @property
    def nothing(self) -> bool:
        """Not a word came."""
        return all(saw.said() == Saw().said() for saw in self.choices)


def _counts(usage: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {name: usage.get(name) for name in ("prompt_tokens", "completion_tokens", "total_tokens")}


def _read_of_chunks(report: Mapping[str, Any]) -> Read:
    """openai-python's."""
    found = {choice.get("index") or 0 for chunk in report.get("chunks", ()) for choice in chunk.get("choices") or ()}
    choices = tuple(saw_chunks(report, index) for index in sorted(found | {0}))
    return Read(choices, report.get("error"))


def _read_of_completion(completion: Completion, error: StreamError | None) -> Read:
    """streamkit's."""
    usage = completion.usage
    counts = None if usage is None else {name: getattr(usage, name) for name in _counts({}) or ()}
    found = {choice.index: choice for choice in completion.choices}
    choices = []
    for index in sorted({*found, 0}):
        saw = Saw(usage=counts)
        if (choice := found.get(index)) is not None:
            message = choice.message
            saw = Saw(
                text=message.content or "",
                reasoning=message.reasoning or "",
                refusal=message.refusal or "",
                tool_calls=[[call.name, call.arguments, call.id] for call in message.tool_calls],
                finish_reason=choice.finish_reason,
                usage=counts,
            )
        choices.append(saw)
    told = None if error is None else {"type": type(error).__name__, "status": error.status, "message": error.message}
    return Read(tuple(choices), told)


def verdict(case: str, streamkit: Read, openai: Read, expected: str | None = None) -> tuple[bool, str]:
    """Whether that is right, and what it is in few words.

    Args:
        case: one of `CASES`.
        streamkit: what the driver read.
        openai: what openai-python read.
        expected: what has to come of it, where that is neither the same answer nor the same error: "more", where
            openai-python reads nothing of an answer and is told of nothing.
    """
    if case in ENDINGS:
        return _ended(case, streamkit, openai)
    if case in REFUSALS:
        status = (streamkit.error or {}).get("status"), (openai.error or {}).get("status")
        right = streamkit.error is not None and status[0] == status[1]
        return right, f"same error, {status[0]}" if right else f"{streamkit.error}, openai-python {openai.error}"
    if streamkit.error is not None or streamkit.nothing:
        return False, f"streamkit read {streamkit}"
    if expected == "more":
        return (
            openai.nothing,
            "all of it (openai-python: nothing)" if openai.nothing else f"openai-python read {openai}",
        )
    if openai.error is not None or streamkit.said() != openai.said():
        return False, f"{streamkit}, openai-python {openai}"
    return True, "same"


def _ended(case: str, streamkit: Read, openai: Read) -> tuple[bool, str]:
    mine, other = streamkit.choices[0].text, openai.choices[0].text
    # What was still on its way when the connection went is lost or not.
    if streamkit.nothing or not (mine.startswith(other) or other.startswith(mine)):
        return False, f"{mine!r}, openai-python {other!r}"
    if streamkit.error is None:
        # Only somebody who has the whole answer may say so.
        whole = case == "SIGTERM" and openai.error is None and streamkit.said() == openai.said()
        return whole, "the whole answer" if whole else f"no error seen: {streamkit}, openai-python {openai}"
    return True, "error seen" if openai.error is not None else "error seen (openai-python: none)"


def _request(asked: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in asked.items() if name not in {"model", "question", "key"}}


def _stream(driver: StreamDriver, asked: Mapping[str, Any]) -> CompletionStream:
    options = {"include_usage": True}
    return driver.stream(
        asked.get("question", "hi"), model=asked["model"], extra_body={"stream_options": options}, **_request(asked)
    )


async def _read(stream: CompletionStream) -> Read:
    try:
        return _read_of_completion(await stream, None)
    except StreamError as error:
        return _read_of_completion(error.completion, error)


async def _read_by(openai: ProcessClient, url: str, asked: Mapping[str, Any]) -> Read:
    more = {name: asked[name] for name in ("question", "key") if name in asked}
    (report,) = await openai.reports(url, [asked["model"]], request=_request(asked), **more)
    return _read_of_chunks(report)


async def _compare(
    server: Server, running: Running, case: str, stream: CompletionStream, openai: ProcessClient
) -> tuple[bool, str]:
    mine, other = await asyncio.gather(_read(stream), _read_by(openai, running.base_url, server.asks[case]))
    return verdict(case, mine, other, server.says.get(case))


async def _leave(stream: CompletionStream, running: Running) -> tuple[bool, str]:
    """Abort it after its first text; when does the server's side of the connection know?"""
    loop = asyncio.get_running_loop()
    others = _connected_to(running.port)  # openai-python keeps its own for later
    await stream.start().wait_for("text")
    ports = _connected_to(running.port) - others
    aborted = loop.time()
    stream.abort("the reader left")
    while still_open := ports & _connected_to(running.port):
        if loop.time() > aborted + 10 * LEFT_WITHIN:
            break
        await asyncio.sleep(0.005)
    took = loop.time() - aborted
    await stream.finished()
    if not ports or still_open or took > LEFT_WITHIN:
        return False, f"{len(ports)} connections, open for {took:.1f} s more"
    return True, f"closed within {LEFT_WITHIN:g} s"


def _connected_to(port: int) -> set[int]:
    """The other ports of the connections that a server of that port takes for open."""
    return {
        one.raddr.port
        for one in psutil.net_connections("tcp4")
        if one.laddr and one.raddr and one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED
    }


async def _stop(server: Server, home: Path, case: str, openai: ProcessClient, timeout: Timeout) -> tuple[bool, str]:
    """Both read an answer of one more such server, which gets the signal in the middle of it."""
    asked = server.asks[case]
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, served(server, home))
        async with StreamDriver(running.base_url, "sk-test", retries=0, timeout=timeout) as driver:
            other = asyncio.ensure_future(_read_by(openai, running.base_url, asked))
            stream = _stream(driver, asked)
            reading = asyncio.ensure_future(_read(stream))
            await stream.wait_for("text")
            await asyncio.sleep(0.2)  # for openai-python, which does not say how far it is
            running.kill(ENDINGS[case])
            await asyncio.wait([reading, other], timeout=STOPPED_WITHIN)
            running.kill(signal.SIGKILL)  # it may wait for ever
            return verdict(case, await reading, await other)


async def _drive(server: Server, home: Path, openai: ProcessClient) -> dict[str, tuple[bool, str]]:
    cells: dict[str, tuple[bool, str]] = {}
    timeout = Timeout(first=20.0, idle=20.0)
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, served(server, home))
        for case in [case for case in CASES if case in server.asks and case not in ENDINGS]:
            asked = server.asks[case]
            key = asked.get("key", "sk-test")
            async with StreamDriver(running.base_url, key, retries=0, timeout=timeout) as driver:
                stream = _stream(driver, asked)
                if case == "client leaves":
                    cells[case] = await _leave(stream, running)
                    continue
                cells[case] = await _compare(server, running, case, stream, openai)
                for _ in range(AGAIN):
                    if not cells[case][0]:
                        cells[case] = await _compare(server, running, case, _stream(driver, asked), openai)
    for case in [case for case in ENDINGS if case in server.asks]:
        cells[case] = await _stop(server, home, case, openai, timeout)
    return cells


async def driven(servers: Iterable[tuple[Server, Path]], python: Path) -> tuple[Cells, list[str]]:
    """A cell for each server and case, and a line for each server that does not run.

    Args:
        servers: each with the folder of its package.
        python: of the environment that has openai-python.
    """
    cells: Cells = {}
    unstartable = []
    for server, home in servers:
        # A process for each: openai-python's connections to the one before are of no use.
        with Process.running([str(python), str(PROGRAMS / "python_clients.py")], PROGRAMS) as process:
            try:
                found = await _drive(server, home, ProcessClient(process, "openai", "openai"))
            except Unstartable as error:
                unstartable.append(str(error))
                continue
        cells[server.name] = found
        print(f"{server.name}: " + ", ".join(f"{case} {said}" for case, (_, said) in found.items()), file=sys.stderr)
    return cells, unstartable
