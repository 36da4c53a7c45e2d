"""What can be wrong with one direction of a TCP connection."""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["LinkFaults"]


@dataclass(frozen=True, slots=True)
class LinkFaults:
    """What is wrong with one direction of a connection; by default nothing.

    Args:
        delay: how many seconds later each byte arrives; those that follow are on their way meanwhile.
        slice: how many bytes a write, at most. A reader on the same loop gets each by itself; one in another process,
            which may read several at once, does with a `bandwidth` that gives it the time.
        bandwidth: how many bytes a second.
        reset_after: both ends are reset (RST) as soon as so many bytes have passed, counted from the start of the
            connection; 0: at once.
        cut_after: the connection is closed (FIN) as soon as so many bytes have passed.
        silence_after: nothing passes after so many bytes, not even a close or a reset: a black hole. What comes is held,
            and passes if the fault is taken away. A connection that both ends have closed is let go all the same.

    Raises:
        ValueError, TypeError: a number that makes no sense, or more than one of the last three.

    >>> LinkFaults(slice=0)
    Traceback (most recent call last):
    ...
    ValueError: LinkFaults.slice must be a whole number of bytes, at least 1, or None, not 0
    """

    delay: float = 0.0
    slice: int | None = None
    bandwidth: float | None = None
    reset_after: int | None = None
    cut_after: int | None = None
    silence_after: int | None = None

    def __post_init__(self) -> None:
        if not (_is_number(self.delay) and self.delay >= 0):
            raise ValueError(f"LinkFaults.delay must be a number of seconds, 0 or more, not {self.delay!r}")
        if self.bandwidth is not None and not (_is_number(self.bandwidth) and self.bandwidth > 0):
            raise ValueError(
                f"LinkFaults.bandwidth must be a number of bytes a second above 0, or None, not {self.bandwidth!r}"
            )
        for name, least in (("slice", 1), ("reset_after", 0), ("cut_after", 0), ("silence_after", 0)):
            value = getattr(self, name)
            if value is not None and (type(value) is not int or value < least):
                raise ValueError(
                    f"LinkFaults.{name} must be a whole number of bytes, at least {least}, or None, not {value!r}"
                )
        endings = [name for name in ("reset_after", "cut_after", "silence_after") if getattr(self, name) is not None]
        if len(endings) > 1:
            raise ValueError(f"LinkFaults takes one of reset_after, cut_after, silence_after, not {endings}")

    @property
    def last_byte(self) -> int | None:
        """How many bytes pass before the end; None: all."""
        ends = (self.reset_after, self.cut_after, self.silence_after)
        return next((end for end in ends if end is not None), None)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
