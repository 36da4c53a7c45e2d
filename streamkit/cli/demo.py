"""`streamkit demo`: the main job on a tape, with no server and no key."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from ..tape import demo_tape, load_tape
from .replay import play_tape

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
    figures = asyncio.run(play_tape(tape, options.speed, console))
    console.text(f"\n{figures}\n")
