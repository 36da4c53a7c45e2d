"""What all encodings over server-sent events share."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    from ..records import Failure

__all__ = ["CONTENT_TYPE", "DONE", "HEADERS", "HEARTBEAT", "data_event", "error_object"]

CONTENT_TYPE: Final = "text/event-stream"

HEADERS: Final = {
    # no-transform keeps compressing middleware from collecting the events.
    "Cache-Control": "no-store, no-transform",
    # nginx would buffer the answer until it is whole.
    "X-Accel-Buffering": "no",
}

HEARTBEAT: Final = b": hb\n"
"""One line, and no blank one after it: the OpenAI clients, fetch-event-source and others take that for an event."""

DONE: Final = b"data: [DONE]\n\n"

_encode = msgspec.json.Encoder().encode


def data_event(value: Any) -> bytes:  # noqa: ANN401 - any JSON value
    r"""An event of one line of JSON: JSON escapes CR, LF and NUL, so that no text can end the line.

    >>> data_event({"content": "a\r\nb"})
    b'data: {"content":"a\\r\\nb"}\n\n'
    """
    return b"data: %b\n\n" % _encode(value)


def error_object(failure: Failure) -> dict[str, Any]:
    """The error object of the OpenAI API.

    >>> from streamkit.web.records import Failure
    >>> error_object(Failure("slow down", "rate_limit_error", "429"))
    {'message': 'slow down', 'type': 'rate_limit_error', 'code': '429', 'param': None}
    """
    return {"message": failure.message, "type": failure.type, "code": failure.code, "param": failure.param}
