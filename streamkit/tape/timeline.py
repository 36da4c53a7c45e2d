"""When what came, as lines of blocks for a terminal."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Final, NamedTuple

from .inspection import Inspection

__all__ = ["Lane", "lanes_of", "round_step", "ruler", "sums", "timeline_lines"]

_BLOCKS: Final = " ▁▂▃▄▅▆▇█"
_ASCII: Final = " .:-=+*#%"

_CHARACTERS: Final = ("reasoning", "text", "refusal")
_COUNTED: Final = {"tool_delta": "tool calls", "heartbeat": "keep-alives", "warning": "warnings"}


class Lane(NamedTuple):
    """A row of a timeline: at which second how much came, of `unit`."""

    name: str
    unit: str
    marks: tuple[tuple[float, int], ...]


def lanes_of(inspection: Inspection) -> list[Lane]:
    """The rows that have anything to show: the reads first, then what they said.

    >>> from streamkit.tape import demo_tape
    >>> from streamkit.tape.inspection import inspect_tape
    >>> [(lane.name, sum(amount for _, amount in lane.marks)) for lane in lanes_of(inspect_tape(demo_tape()))]
    [('reads', 38069), ('text', 485)]
    """
    events = inspection.events
    lanes = [Lane("reads", "bytes", tuple((read.seconds, len(read.data)) for read in inspection.tape.reads))]
    lanes += [
        Lane(name, "characters", tuple((at, len(text)) for at, event, text in events if event == name))
        for name in _CHARACTERS
    ]
    lanes += [
        Lane(name, "events", tuple((at, 1) for at, event, _ in events if event == counted))
        for counted, name in _COUNTED.items()
    ]
    return [lane for lane in lanes if lane.marks]


def sums(marks: Iterable[tuple[float, int]], duration: float, columns: int) -> list[int]:
    """How much came in each of `columns` equal parts of the time.

    >>> sums([(0.0, 5), (0.4, 1), (1.0, 2)], 1.0, 2)
    [6, 2]
    """
    parts = [0] * columns
    for seconds, amount in marks:
        place = int(min(1.0, seconds / duration) * columns) if duration > 0 else 0
        parts[min(place, columns - 1)] += amount
    return parts


def timeline_lines(inspection: Inspection, width: int = 80, *, only_ascii: bool = False) -> list[str]:
    """The timeline as lines of at most `width` columns: a row for each kind, and a ruler in seconds.

    The height of a block is the square root of what came, so that a large read does not flatten all others; where
    anything came, a block shows.

    >>> from streamkit.tape import Tape, TapeRead
    >>> from streamkit.tape.inspection import inspect_tape
    >>> tape = Tape(
    ...     status=200, reads=(TapeRead(0.5, b": hi\\n\\n"), TapeRead(2.0, b": h" * 9)), ended_at=2.0, ending="eof"
    ... )
    >>> print(*timeline_lines(inspect_tape(tape), 33, only_ascii=True), sep="\\n")
    reads             =             %
    keep-alives       %             %
                 0 s       1 s
    """
    lanes = lanes_of(inspection)
    label = max((len(lane.name) for lane in lanes), default=0) + 2
    columns = max(10, width - label)
    ramp = _ASCII if only_ascii else _BLOCKS
    duration = inspection.tape.duration
    lines = []
    for lane in lanes:
        parts = sums(lane.marks, duration, columns)
        most = max(parts)
        row = "".join(ramp[math.ceil((len(ramp) - 1) * math.sqrt(part / most))] for part in parts)
        lines.append(f"{lane.name:<{label}}{row}".rstrip())
    if lanes:
        lines.append((" " * label + ruler(duration, columns)).rstrip())
    return lines


def ruler(seconds: float, columns: int) -> str:
    """The seconds at round places, each label beginning where its time does.

    >>> ruler(4.6, 40)
    '0 s     1 s      2 s      3 s     4 s'
    """
    line = "0 s"
    step = round_step(seconds, max(1, columns // 8))
    for number in range(1, int(seconds / step) + 1 if step else 0):
        place = int(number * step / seconds * columns)
        label = f"{number * step:g} s"
        if place > len(line) and place + len(label) <= columns:
            line = f"{line:<{place}}{label}"
    return line


def round_step(length: float, most: int) -> float:
    """The smallest round step (1, 2 or 5 times a power of ten) of which a length has at most so many; 0 for no length.

    >>> round_step(4.6, 8), round_step(4.6, 2), round_step(0.0, 8)
    (1.0, 5.0, 0.0)
    """
    if length <= 0:
        return 0.0
    exponent = -6  # microseconds: a tape has no finer
    while True:
        for factor in (1, 2, 5):
            step = factor * 10.0**exponent
            if length / step <= most:
                return step
        exponent += 1
