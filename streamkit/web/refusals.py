"""What the relay refuses, with the HTTP status that says so."""

from __future__ import annotations

from ..errors import StreamkitError

__all__ = ["Ended", "Refused"]


class Refused(StreamkitError):
    """A request that the relay does not serve; nothing was started.

    Attributes:
        message: what is wrong and what to do, one sentence; it holds nothing of the request's content.
        status: the HTTP status to answer with.
        code: a fixed word for programs.
        type: the kind of error, as the OpenAI API names it.
        param: the field of the request that is wrong, None for none.
        retry_after: seconds after which the same request may be served, None where waiting does not help.

    >>> refused = Refused("the relay is shutting down", status=503, code="shutting_down", retry_after=5)
    >>> str(refused), refused.status
    ('the relay is shutting down', 503)
    """

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str,
        type: str = "invalid_request_error",  # noqa: A002 - the name that the API gives it
        param: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.code = code
        self.type = type
        self.param = param
        self.retry_after = retry_after


class Ended(StreamkitError):
    """The stream is over, and the subscriber has had all of it: HTTP 204, at which an EventSource stops reconnecting."""
