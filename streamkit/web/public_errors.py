"""What clients are told of an error: the upstream's own words, and nothing of the inside of the house."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamTimeout,
    TruncatedStream,
)
from ..wire.failure import advice
from .records import Failure

if TYPE_CHECKING:
    from ..errors import StreamError

__all__ = ["failure_of", "public_request_id"]

_IN_STREAM: Final = "the server reported an error in the stream: "
"""What the driver puts before the upstream's own words."""

_SECRET: Final = re.compile(r"\b(?:sk|pk|rk|gsk|xai|hf)[-_][A-Za-z0-9_\-]{8,}|\bBearer\s+[^\s\"',;]+", re.IGNORECASE)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:\-]{1,128}")


def failure_of(error: StreamError) -> Failure:
    """What clients are told of a stream's error: the upstream's own words, code and type where it gave some.

    Otherwise the code is a fixed word: `upstream_timeout`, `upstream_cut`, `upstream_http`, `rate_limited`, `upstream_protocol`,
    `internal`. What looks like a key is taken out of every text. Addresses of hosts, which the messages of failed connections
    name, are the operator's business: they are left to the server's log.

    >>> from streamkit import ConnectionLost
    >>> failure_of(ConnectionLost("the connection was cut")).code
    'upstream_cut'
    """
    code, status, message = _public(error)
    return Failure(
        message=_scrubbed(message),
        type=_scrubbed(error.type) if error.type else "upstream_error" if code != "internal" else "server_error",
        code=_scrubbed(error.code) if error.code else code,
        status=error.status or status,
        request_id=public_request_id(error.request_id),
        retry_after=error.retry_after if isinstance(error, StatusError) else None,
    )


def public_request_id(value: str | None) -> str | None:
    """The request id of an upstream, if it is one that a header of ours may carry.

    >>> public_request_id("req_1"), public_request_id("a, b")
    ('req_1', None)
    """
    return value if value and _REQUEST_ID.fullmatch(value) else None


def _public(error: StreamError) -> tuple[str, int, str]:
    """A fixed code, the HTTP status of a gateway, and a message without the inside of the house."""
    match error:
        case StreamTimeout():
            return "upstream_timeout", 504, error.message
        case StatusError() if error.status in {401, 403}:
            # The upstream's own words are about the relay's key, and some servers quote the ends of it.
            return "upstream_http", 502, "the upstream server refused the credentials of this relay"
        case StatusError() | ServerError():
            # Without what the driver puts around them, which is for the person who runs the relay.
            own_words = error.message.removeprefix(f"{error.status}: ").removeprefix(_IN_STREAM)
            if isinstance(error, StatusError) and error.status is not None:
                own_words = own_words.removesuffix(f" - {advice(error.status)}")
            if own_words.startswith("an HTML page"):  # of a proxy, or of another server than was meant
                own_words = f"the upstream server answered with {own_words}"
            return "rate_limited" if error.status == 429 else "upstream_http", 502, own_words
        case ConnectionFailed():
            return "upstream_http", 502, "no connection to the upstream server"
        case ConnectionLost():
            return "upstream_cut", 502, "the connection to the upstream server was cut before the answer was whole"
        case TruncatedStream():
            # Not its own message, in which `[DONE]` stands: there are clients that look for that anywhere in a line.
            return "upstream_cut", 502, "the upstream server ended the answer before it was whole"
        case EmptyStream():
            return "upstream_cut", 502, "the upstream server sent an empty answer"
        case ProtocolError():
            return "upstream_protocol", 502, "the upstream server did not send a completion feed"
        case _:
            return "internal", 500, "the relay failed"


def _scrubbed(text: str) -> str:
    return _SECRET.sub("***", text)
