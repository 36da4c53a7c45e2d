"""What a client is told when a request fails before anything was sent: a status, headers, one JSON error object.

It is the object of OpenAI's API, `{"error": {"message", "type", "code", "param"}}`, with Retry-After where waiting helps.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import msgspec

from ..errors import StreamError
from .log import UnknownStream
from .public_errors import failure_of
from .records import Failure
from .refusals import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["error_body", "failure_answer", "not_found", "status_of"]

# What an upstream may say to the client of a relay: what is about the request. Any other 4xx is about the relay itself (407,
# 421): for the client, a bad gateway.
_PASSED_ON: Final = frozenset({400, 401, 402, 403, 404, 408, 409, 413, 415, 422, 424, 429})


def failure_answer(error: BaseException | Failure) -> tuple[int, dict[str, str], bytes]:
    """The status, headers and body that answer a request that failed; an unexpected error is told nothing of.

    >>> failure_answer(Refused("slow down", status=429, code="rate_limited", type="rate_limit_error", retry_after=0.2))[
    ...     :2
    ... ]
    (429, {'retry-after': '1'})
    >>> failure_answer(KeyError("inside"))[2]
    b'{"error":{"message":"the relay failed: its log says how","type":"server_error","code":"internal","param":null}}'
    """
    match error:
        case Refused():
            failure = Failure(
                error.message, error.type, error.code, error.param, error.status, retry_after=error.retry_after
            )
        case Failure():
            failure = error
        case UnknownStream():
            return failure_answer(not_found())
        case StreamError():
            failure = failure_of(error)
        case _:
            failure = Failure("the relay failed: its log says how", "server_error", "internal", status=500)
    headers = {}
    if failure.retry_after is not None:
        headers["retry-after"] = str(max(1, math.ceil(failure.retry_after)))
    if failure.request_id is not None:
        headers["x-request-id"] = failure.request_id
    status = error.status if isinstance(error, Refused) else status_of(failure)
    return status, headers, error_body(msgspec.structs.asdict(failure))


def status_of(failure: Failure) -> int:
    """The HTTP status for a failure: the upstream's own where it is about the request.

    >>> [status_of(Failure("", status=status)) for status in (429, 503, 407, None)]
    [429, 503, 502, 502]
    """
    status = failure.status
    return status if status is not None and (status in _PASSED_ON or 500 <= status <= 599) else 502


def error_body(error: Mapping[str, Any]) -> bytes:
    """The JSON of an error object, whatever else `error` knows.

    >>> error_body({"message": "no", "type": "server_error", "code": "internal", "status": 500})
    b'{"error":{"message":"no","type":"server_error","code":"internal","param":null}}'
    """
    return msgspec.json.encode({"error": {name: error.get(name) for name in ("message", "type", "code", "param")}})


def not_found() -> Refused:
    """The answer for a stream that is not there, and for one of somebody else: who guesses ids learns nothing."""
    return Refused("there is no such stream, or it is over", status=404, code="not_found", type="not_found_error")
