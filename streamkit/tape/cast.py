"""A tape as a recording of a terminal: asciicast, for players of those."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any, Final

from .decoding import decode_tape
from .recording import Tape

__all__ = ["tape_cast"]

_DIM, _PLAIN = "\x1b[2m", "\x1b[0m"
_HEIGHT: Final = 24

# A model's answer is not to move the cursor or to set the title of the terminal that plays it.
_SHOWN: Final = {
    **{code: chr(0x2400 + code) for code in range(0x20) if chr(code) not in "\t\n"},
    **dict.fromkeys(range(0x7F, 0xA0), "\N{REPLACEMENT CHARACTER}"),
    ord("\n"): "\r\n",
}


def tape_cast(tape: Tape, *, width: int = 80, title: str | None = None) -> str:
    """The answer as a terminal shows it while it comes, in asciicast v2: reasoning dim, then the text.

    https://docs.asciinema.org/manual/asciicast/v2/: a header object, then `[seconds, "o", text]` a line.

    Args:
        tape: a tape; only what it says as text is shown.
        width: of the terminal, in columns.
        title: what players call it.

    Raises:
        ValueError: a width below 1.

    >>> from streamkit.tape import demo_tape
    >>> header, first, *_ = tape_cast(demo_tape(), width=100).splitlines()
    >>> header, first
    ('{"version": 2, "width": 100, "height": 24, "timestamp": ...}', '[0.35..., "o", "A"]')
    """
    if width < 1:
        raise ValueError(f"width must be 1 column or more, not {width}")
    header: dict[str, Any] = {"version": 2, "width": width, "height": _HEIGHT}
    if (timestamp := _timestamp(tape)) is not None:
        header["timestamp"] = timestamp
    header["duration"] = tape.duration
    if title:
        header["title"] = title
    lines = [json.dumps(header)]
    lines += [json.dumps([seconds, "o", text], ensure_ascii=False) for seconds, text in _outputs(tape)]
    return "".join(line + "\n" for line in lines)


def _outputs(tape: Tape) -> Iterator[tuple[float, str]]:
    before = ""
    ends_line = True
    for seconds, name, payload in decode_tape(tape).events:
        if name not in {"reasoning", "text", "refusal"}:
            continue
        text = payload.translate(_SHOWN)
        break_line = "" if not before or name == before or ends_line else "\r\n"
        yield seconds, break_line + (f"{_DIM}{text}{_PLAIN}" if name == "reasoning" else text)
        before, ends_line = name, text.endswith("\n")
    if not ends_line:
        yield tape.duration, "\r\n"


def _timestamp(tape: Tape) -> int | None:
    try:
        return int(dt.datetime.fromisoformat(tape.created or "").timestamp())
    except (ValueError, OverflowError):
        return None
