"""`streamkit record`: `chat`, with a tape of it."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import TapeError
from ..sinks.tape import TapeSink
from ..sinks.tape_files import TapeFiles
from .console import UsageError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator

    from .console import Console

__all__ = ["recording", "run_record"]


def run_record(options: Namespace, console: Console) -> None:
    """Run `chat --record options.file` with the rest of the arguments; raises what that raises."""
    arguments = options.arguments[options.arguments[:1] == ["--"] :]
    chat = options.parse(["chat", "--record", options.file, *arguments])
    chat.run(chat, console)


@contextmanager
def recording(file: str, console: Console, *, answers: int | None) -> Iterator[TapeSink]:
    """A sink that records to the file, while it is entered; `answers` is how many are to come, None for any number.

    Raises:
        UsageError: the name is none for a tape, or for one only.
        TapeError: the file exists or cannot be made; at the end, it could not be written whole.
    """
    try:
        TapeFiles(file).check()
        sink = TapeSink(file)
    except TapeError:
        raise
    except ValueError as error:
        raise UsageError(str(error)) from None
    if answers is None and "{n" not in file and not Path(file).is_dir():
        raise UsageError(f"a conversation has several answers, and {file} holds one: put {{n}} into its name")
    problems = _Problems()
    log = logging.getLogger("streamkit.sinks.tape")
    log.addHandler(problems)
    try:
        yield sink
    except BaseException:
        for problem in problems.messages:
            console.note(f"streamkit: {problem}")
        raise
    finally:
        log.removeHandler(problems)
    if problems.messages:
        raise TapeError(problems.messages[0])


class _Problems(logging.Handler):
    """Keeps what the sink logs until the answer is there: it is no reason to break into it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.messages.append(record.getMessage())
