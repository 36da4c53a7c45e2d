"""Tapes, played over real HTTP."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

from ..tape import Tape, TapeRead, load_tape
from .script import At, Cut, End, Hang, Headers, Reset, Send, Step
from .server import ScriptedServer

__all__ = ["Fault", "replay_server", "tape_script"]

_FAULTS: Final[dict[str, Step]] = {"cut": Cut(), "reset": Reset(), "stall": Hang(), "close": End()}

# A tape without an end was cut while it was recorded: nobody knows that the answer was whole.
_ENDINGS: Final[dict[str | None, Step]] = {
    "eof": End(),
    "cancelled": End(),
    "reset": Reset(),
    "timeout": Hang(),
    None: Cut(),
}

# The framing is of this connection, not of the recorded one; and reads are recorded with their coding undone.
_NOT_REPLAYED: Final = frozenset(
    ("connection", "content-encoding", "content-length", "keep-alive", "trailer", "transfer-encoding", "upgrade")
)


@dataclass(frozen=True, slots=True)
class Fault:
    """What goes wrong in place of the recorded end.

    Args:
        kind: "cut": the connection is closed inside the body (FIN, no last chunk). "reset": it is reset (RST).
            "stall": it stays open and silent. "close": the body ends as if it were whole.
        after_bytes: how many bytes of the body come before it, to the byte; None: all of them.

    Raises:
        ValueError: an unknown kind, or a negative number of bytes.
    """

    kind: Literal["cut", "reset", "stall", "close"]
    after_bytes: int | None = None

    def __post_init__(self) -> None:
        if self.kind not in _FAULTS:
            raise ValueError(f"no such fault: {self.kind!r}; use one of {', '.join(sorted(_FAULTS))}")
        if self.after_bytes is not None and self.after_bytes < 0:
            raise ValueError(f"after_bytes must be at least 0, not {self.after_bytes}")


def replay_server(
    tape: Tape | str | os.PathLike[str],
    speed: float = 1.0,
    fault: Fault | None = None,
    *,
    split: int | None = None,
    port: int = 0,
) -> ScriptedServer:
    """A server that plays the tape to every POST, with its read boundaries, its pace and its end.

    Each recorded read is one HTTP chunk and one write, at its time since the request: a late one delays no other. A
    recorded reset resets, a timeout is silence until the client leaves, and a tape without an end is cut.

    Args:
        tape: a tape, or the path of one.
        speed: 1 as recorded, 2 twice as fast, 0 at once.
        fault: what goes wrong instead of the recorded end.
        split: instead of the recorded boundaries, so many bytes a write.
        port: to listen on; 0: a free one.

    Returns:
        An async context manager that gives the server: `.base_url`, `.requests`.

    Raises:
        ValueError: a speed below 0, a split below 1, a fault after the last byte.
        TapeError: the path is of no tape.

    >>> import asyncio, aiohttp
    >>> from streamkit.tape import demo_tape
    >>> async def main():
    ...     async with replay_server(demo_tape(), speed=0) as server, aiohttp.ClientSession() as session:
    ...         async with session.post(server.base_url + "/chat/completions", json={}) as response:
    ...             return await response.read()
    >>> asyncio.run(main()) == demo_tape().body
    True
    """
    loaded = tape if isinstance(tape, Tape) else load_tape(tape)
    return ScriptedServer(tape_script(loaded, speed, fault, split=split), port=port)


def tape_script(
    tape: Tape, speed: float = 1.0, fault: Fault | None = None, *, split: int | None = None
) -> tuple[Step, ...]:
    r"""The script that plays a tape; for `completion_server`, beside others. As `replay_server`.

    >>> tape = Tape(status=200, headers_at=0.1, reads=(TapeRead(0.5, b"data: 1\n\n"),), ending="eof", ended_at=0.75)
    >>> tape_script(tape, speed=2, fault=Fault("reset", after_bytes=4))
    (At(seconds=0.05), Headers(status=200, headers=(), framing='chunked'), At(seconds=0.25), Send(data=b'data'), Reset())
    """
    if not math.isfinite(speed) or speed < 0:
        raise ValueError(f"speed must be 0 (at once) or more (1 is the recorded pace), not {speed}")
    if split is not None and split < 1:
        raise ValueError(f"split must be at least 1 byte a write, not {split}")
    length = sum(len(read.data) for read in tape.reads)
    if fault is not None and fault.after_bytes is not None and fault.after_bytes > length:
        raise ValueError(f"the fault is to come after {fault.after_bytes} bytes, but the tape has only {length}")
    reads = tape.reads if fault is None or fault.after_bytes is None else _first(fault.after_bytes, tape.reads)

    def at(seconds: float) -> tuple[At, ...]:
        return (At(seconds / speed),) if speed else ()

    steps: list[Step] = []
    if tape.status is not None:
        pairs = tuple((name, value) for name, value in tape.headers if name.lower() not in _NOT_REPLAYED)
        steps += [*at(tape.headers_at), Headers(tape.status, pairs)]
    for seconds, data in reads:
        steps += [*at(seconds), *(Send(piece) for piece in _pieces(data, split))]
    if fault is None:
        steps += [*at(tape.duration), _ENDINGS[tape.ending]]
    else:
        steps.append(_FAULTS[fault.kind])
    return tuple(steps)


def _first(size: int, reads: tuple[TapeRead, ...]) -> Iterator[TapeRead]:
    for seconds, data in reads:
        if size <= 0:
            return
        yield TapeRead(seconds, data[:size])
        size -= len(data)


def _pieces(data: bytes, size: int | None) -> Iterator[bytes]:
    size = size or len(data) or 1
    for start in range(0, len(data), size):
        yield data[start : start + size]
