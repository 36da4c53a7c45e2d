"""`streamkit replay`: a tape, played to the terminal, or by a server."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ..driver import StreamDriver
from ..settings import Timeout
from ..tape import load_tape
from ..testing import replay_server
from .answer import print_answer
from .console import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from ..tape import Tape
    from .console import Console

__all__ = ["play_tape", "run_replay"]


def run_replay(options: Namespace, console: Console) -> None:
    """Print the answer of `options.tape` as it came; with `options.serve`, answer requests with it until ^C instead.

    Raises:
        UsageError: a port without a server, or one that cannot be listened on.
        TapeError: `options.tape` is no tape.
        StreamError: the tape ends in a failure.
    """
    if options.port is not None and not options.serve:
        raise UsageError("--port goes with --serve")
    tape = load_tape(options.tape)
    if tape.torn:
        console.note(f"{options.tape} ends inside a line: playing what is whole")
    if not options.serve:
        console.note(asyncio.run(play_tape(tape, options.speed, console)))
        return
    try:
        asyncio.run(_serve(tape, options.speed, options.port or 0, console))
    except KeyboardInterrupt:
        pass  # how a server is meant to end


async def play_tape(tape: Tape, speed: float, console: Console) -> str:
    """Play the tape over loopback and print its answer as it comes; returns a line of figures."""
    body = tape.request.get("body")
    request: Any = body if isinstance(body, dict) and body.get("messages") else "What is on this tape?"
    # Loopback is behind no proxy, whatever the environment says of the rest of the world.
    os.environ["no_proxy"] = "127.0.0.1"
    # A silence that was recorded is none to give up for, but for the one that the recording itself ended in.
    silent_end = tape.duration / (speed or float("inf")) + 1.0 if tape.ending == "timeout" else None
    async with (
        replay_server(tape, speed) as server,
        # The key in the environment is for another server; and a tape fails again as it failed.
        StreamDriver(
            server.base_url, api_key="", retries=0, timeout=Timeout(first=None, idle=None, total=silent_end)
        ) as driver,
    ):
        _, figures = await print_answer(driver.stream(request), console)
        return figures


async def _serve(tape: Tape, speed: float, port: int, console: Console) -> None:
    server = replay_server(tape, speed, port=port)
    try:
        await server.__aenter__()
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error)
        raise UsageError(f"cannot listen on port {port}: {reason}; choose another, or none for a free one") from None
    try:
        console.text(f"{server.base_url}\n")
        console.note("every request is answered with the tape, until ^C")
        await asyncio.Event().wait()
    finally:
        await server.__aexit__()
