"""How much a client may ask for: the numbers, and who is let in."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Admission", "Limits"]

_MAY_BE_ZERO: Final = frozenset({"max_detached"})


@dataclass(frozen=True, slots=True)
class Limits:
    """What a relay allows; None is no limit. Whoever asks for more is refused, by a status and a sentence that names the limit.

    Args:
        max_body: bytes of a request (413).
        max_depth: how deep its JSON may nest (400).
        max_messages: messages of one request (400).
        max_choices: `n` of a request (400; never cut down in silence, because the client would wait for the others).
        max_tokens: tokens of an answer: `max_tokens` and `max_completion_tokens` are cut down to it, and `max_tokens` is
            added to a request that has neither.
        max_streams: streams that run at once, of everybody (503).
        max_streams_per_principal: of one principal; of all who are anonymous together (429).
        starts_per_minute: streams that one principal may start in a minute; as many at once, evenly after that (429).
        max_detached: streams that run on though nobody reads them; one more is aborted when its last reader leaves.
        max_seconds: of one stream, from its start.
        max_output_bytes: of the records of one stream.
        max_subscribers: readers of one stream at once (429).

    >>> Limits(max_streams=10).max_streams
    10
    >>> Limits(max_streams=-1)
    Traceback (most recent call last):
    ...
    ValueError: Limits.max_streams must be a whole number, 1 or more, or None for no limit, not -1
    """

    max_body: int = 2**20
    max_depth: int | None = 64
    max_messages: int | None = 1000
    max_choices: int | None = 8
    max_tokens: int | None = None
    max_streams: int | None = 1000
    max_streams_per_principal: int | None = 100
    starts_per_minute: int | None = None
    max_detached: int | None = 100
    max_seconds: float | None = 3600.0
    max_output_bytes: int | None = 16 * 2**20
    max_subscribers: int | None = 1000

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None and field.name != "max_body":
                continue
            least = 0 if field.name in _MAY_BE_ZERO else 1
            if field.name == "max_seconds":
                if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                    raise ValueError(f"Limits.max_seconds must be a number of seconds above 0, or None, not {value!r}")
            elif type(value) is not int or value < least:
                raise ValueError(
                    f"Limits.{field.name} must be a whole number, {least} or more"
                    f"{'' if field.name == 'max_body' else ', or None for no limit'}, not {value!r}"
                )


class Admission:
    """Who may start a stream now: counts those that run, in all and by principal, and how fast each starts them.

    Args:
        limits: what is allowed.
        clock: seconds, that only go forward.

    >>> admission = Admission(Limits(max_streams_per_principal=1), clock=lambda: 0.0)
    >>> admission.enter("ann")
    >>> admission.enter("ann")
    Traceback (most recent call last):
    ...
    streamkit.web.refusals.Refused: you have 1 stream running, which is the limit: wait for one to end, or stop one
    >>> admission.leave("ann")
    >>> admission.enter("ann")
    """

    def __init__(self, limits: Limits, *, clock: Callable[[], float]) -> None:
        self._limits = limits
        self._clock = clock
        self._running: Counter[str] = Counter()
        self._due: dict[str, float] = {}
        """When a principal would have used up its allowance, had it started its streams evenly (GCRA)."""

    @property
    def running(self) -> int:
        """How many streams run."""
        return self._running.total()

    def enter(self, principal: str) -> None:
        """Count one more stream; raises Refused (429 or 503, with Retry-After) where it is one too many."""
        limits = self._limits
        if limits.max_streams is not None and self._running.total() >= limits.max_streams:
            raise Refused(
                "the relay is busy: try again in a moment", status=503, code="busy", type="server_error", retry_after=2
            )
        mine, most = self._running[principal], limits.max_streams_per_principal
        if most is not None and mine >= most:
            raise Refused(
                f"you have {mine} {'stream' if mine == 1 else 'streams'} running, which is the limit: "
                "wait for one to end, or stop one",
                status=429,
                code="too_many_streams",
                type="rate_limit_error",
                retry_after=2,
            )
        if limits.starts_per_minute is not None:
            self._pace(principal, limits.starts_per_minute)
        self._running[principal] += 1

    def leave(self, principal: str) -> None:
        """Count one less."""
        self._running[principal] -= 1
        if self._running[principal] <= 0:
            del self._running[principal]

    def _pace(self, principal: str, starts: int) -> None:
        # The generic cell rate algorithm: a token bucket that is one number, and that needs no timer to fill up.
        now, each = self._clock(), 60.0 / starts
        due = max(now, self._due.get(principal, now))
        if due - now > 60.0 - each + 1e-9:
            wait = due - now - (60.0 - each)
            raise Refused(
                f"you may start {starts} streams a minute: wait a little",
                status=429,
                code="rate_limited",
                type="rate_limit_error",
                retry_after=wait,
            )
        self._due = {name: at for name, at in self._due.items() if at > now}  # only those who started lately are kept
        self._due[principal] = due + each
