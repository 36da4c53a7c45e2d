"""How a stream is to be driven: limits, retries, policies. Values only; wrong ones fail here, by name."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import isfinite
from typing import TYPE_CHECKING, Literal, TypeAlias, get_args

from .errors import StatusError

if TYPE_CHECKING:
    from collections.abc import Callable

    from .errors import StreamError

__all__ = ["ListenerErrors", "OnTruncation", "RetryPolicy", "Settings", "Timeout"]

ListenerErrors: TypeAlias = Literal["log", "raise", "detach"]
"""What happens when a listener raises, beside its `listener_error` event."""

OnTruncation: TypeAlias = Literal["error", "accept"]
"""Whether a feed that just stops is an error or an answer."""


@dataclass(frozen=True, slots=True)
class Timeout:
    """The limits of one stream, in seconds; None is no limit.

    Args:
        connect: DNS, TCP and TLS.
        first: from the request being sent to the first content, headers included.
        idle: between one piece of content and the next. Keep-alives do not count as content.
        total: the whole stream; no limit by default, because a long answer is not an error.
        after_finish: silence after every choice has finished, before the answer is taken as whole.

    Time counts only while the driver waits for the socket: a slow listener causes no timeout (`total` aside).

    >>> Timeout(idle=30).idle
    30
    >>> Timeout(idle=-1)
    Traceback (most recent call last):
    ...
    ValueError: Timeout.idle must be a number of seconds above 0, or None for no limit, not -1
    """

    connect: float | None = 10.0
    first: float | None = 300.0
    idle: float | None = 120.0
    total: float | None = None
    after_finish: float | None = 5.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if value is not None and not (_is_number(value) and value > 0):
                raise ValueError(
                    f"Timeout.{name} must be a number of seconds above 0, or None for no limit, not {value!r}"
                )


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """When a failed attempt is made again, and after which pause.

    Only an attempt that has published no chunk is ever repeated, so that no character comes twice. The pause doubles from
    `initial` up to `maximum` seconds, less a random part of up to `jitter` (a share), unless the server names its own
    (`Retry-After`), which is obeyed up to `longest` seconds; beyond that the error is final.

    Args:
        retries: further attempts after the first.

    >>> from streamkit.errors import ConnectionLost
    >>> RetryPolicy(retries=1).delay(1, ConnectionLost("cut", retryable=True), random=lambda: 0.0)
    0.5
    """

    retries: int = 2
    initial: float = 0.5
    maximum: float = 8.0
    jitter: float = 0.25
    longest: float = 60.0

    def __post_init__(self) -> None:
        if type(self.retries) is not int or self.retries < 0:
            raise ValueError(f"retries must be a whole number, 0 or more, not {self.retries!r}")
        for name in ("initial", "maximum", "longest"):
            if not (_is_number(value := getattr(self, name)) and value >= 0):
                raise ValueError(f"RetryPolicy.{name} must be a number of seconds, 0 or more, not {value!r}")
        if not (_is_number(self.jitter) and 0 <= self.jitter <= 1):
            raise ValueError(f"RetryPolicy.jitter must be between 0 and 1, not {self.jitter!r}")

    def delay(self, attempt: int, error: StreamError, *, random: Callable[[], float] = random.random) -> float | None:
        """The pause before the next attempt, in seconds; None: the error is final. `attempt` failed, counted from 1."""
        if attempt > self.retries or not error.retryable:
            return None
        asked = error.retry_after if isinstance(error, StatusError) else None
        if asked is not None:
            return asked if asked <= self.longest else None
        pause = min(self.maximum, self.initial * 2.0 ** min(attempt - 1, 30))
        return pause * (1.0 - self.jitter * random())


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything about a stream that is not its request."""

    timeout: Timeout = field(default_factory=Timeout)
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    on_truncation: OnTruncation = "error"
    max_malformed: int = 20
    max_event_bytes: int | None = 64 * 2**20
    think_tags: bool = False
    listener_errors: ListenerErrors = "log"
    drain_timeout: float = 5.0

    def __post_init__(self) -> None:
        if not isinstance(self.timeout, Timeout):
            raise TypeError(f"timeout must be a streamkit.Timeout, not {type(self.timeout).__name__}")
        if not isinstance(self.retry, RetryPolicy):
            raise TypeError(f"retries must be a number or a streamkit.RetryPolicy, not {type(self.retry).__name__}")
        _one_of("on_truncation", self.on_truncation, get_args(OnTruncation))
        _one_of("listener_errors", self.listener_errors, get_args(ListenerErrors))
        if type(self.max_malformed) is not int or self.max_malformed < 0:
            raise ValueError(f"max_malformed must be a whole number, 0 or more, not {self.max_malformed!r}")
        if self.max_event_bytes is not None and (type(self.max_event_bytes) is not int or self.max_event_bytes < 1):
            raise ValueError(f"max_event_bytes must be a whole number of bytes, or None, not {self.max_event_bytes!r}")
        if type(self.think_tags) is not bool:
            raise TypeError(f"think_tags must be True or False, not {self.think_tags!r}")
        if not (_is_number(self.drain_timeout) and self.drain_timeout > 0):
            raise ValueError(f"drain_timeout must be a number of seconds above 0, not {self.drain_timeout!r}")


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(repr, allowed))}, not {value!r}")


def _is_number(value: object) -> bool:
    try:
        return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    except OverflowError:  # an int that no float can hold
        return False
