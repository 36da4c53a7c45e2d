"""`streamkit demo`: the main job on a tape, with no server and no key."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Any

from ..driver import StreamDriver
from ..tape import demo_tape, load_tape
from ..testing import replay_server
from .answer import print_answer

if TYPE_CHECKING:
    from argparse import Namespace

    from .console import Console

__all__ = ["run_demo"]


def run_demo(options: Namespace, console: Console) -> None:
    """Play the tape over loopback at `options.speed`, print its answer as it comes, and end with a line of figures.

    Raises:
        TapeError: `options.tape` is no tape.
        StreamError: the tape ends in a failure.
    """
    tape = demo_tape() if options.tape is None else load_tape(options.tape)
    if tape.torn:
        console.note(f"{options.tape} ends inside a line: playing what is whole")
    body = tape.request.get("body")
    request: Any = body if isinstance(body, dict) and body.get("messages") else "What is on this tape?"
    # Loopback is behind no proxy, whatever the environment says of the rest of the world.
    os.environ["no_proxy"] = "127.0.0.1"

    async def play() -> str:
        async with (
            replay_server(tape, options.speed) as server,
            # The key in the environment is for another server; and a tape fails again as it failed.
            StreamDriver(server.base_url, api_key="", retries=0) as driver,
        ):
            _, figures = await print_answer(driver.stream(request), console)
            return figures

    figures = asyncio.run(play())
    console.text(f"\n{figures}\n")
