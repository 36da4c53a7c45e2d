"""`streamkit cast`: a tape as an asciicast, for the players of terminal recordings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from ..tape import load_tape
from ..tape.cast import tape_cast
from .files import write_new

if TYPE_CHECKING:
    from argparse import Namespace

    from .console import Console

__all__ = ["run_cast"]


def run_cast(options: Namespace, console: Console) -> None:
    """Write `options.out`, a terminal of `options.width` columns that shows the answer of `options.tape` as it came.

    Raises:
        TapeError: `options.tape` is no tape.
        UsageError: `options.out` exists, or cannot be made.
    """
    tape = load_tape(options.tape)
    write_new(options.out, tape_cast(tape, width=options.width, title=Path(options.tape).name))
