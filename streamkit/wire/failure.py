"""Error bodies and error objects -> StreamError: every shape in which servers report a failure.

`{"error": {"message", "code", "type"}}`, `{"error": "text"}`, a flat `{"object": "error", "message"}`, `{"detail": "text"}`,
`{"detail": [{"msg", "loc"}]}`, plain text, an HTML page of a proxy. The status may be hidden in `error.code`,
as a number or as text.
"""

from __future__ import annotations

import json
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from ..errors import ServerError, StatusError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = [
    "advice",
    "error_in_body",
    "error_in_event",
    "error_in_object",
    "is_retryable_status",
    "printable",
    "retry_after",
    "server_error",
    "status_error",
]

_MESSAGE_CHARS = 500
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")

# What the person at the keyboard can do about it.
_ADVICE = {
    400: "",
    401: "the server refused the API key: check OPENAI_API_KEY or api_key=",
    403: "the API key is not allowed to do this",
    404: "check the model name and the base URL (is /v1 missing from its end?)",
    413: "the request is too large",
    429: "too many requests, or the quota is used up",
}

# Retrying the same request cannot help here, whatever the status says.
_FINAL_CODES = frozenset({"insufficient_quota", "context_length_exceeded", "invalid_api_key", "model_not_found"})
_RETRYABLE_TYPES = frozenset({"overloaded_error", "rate_limit_error", "server_error", "service_unavailable", "timeout"})


_BESIDE_A_TEXT = frozenset({"code", "status", "status_code", "type"})


class _Reported(NamedTuple):
    message: str
    code: str | None
    type: str | None
    status: int | None

    def redacted(self, redact: Callable[[str], str]) -> _Reported:
        """Without secrets, and only then cut to a length that a message can have."""
        return _Reported(
            _short(redact(self.message)) or "no reason given",
            None if self.code is None else redact(self.code),
            None if self.type is None else redact(self.type),
            self.status,
        )


def is_retryable_status(status: int) -> bool:
    """Whether the same request may succeed later: what the OpenAI SDKs retry.

    >>> [status for status in (400, 401, 408, 409, 422, 429, 500, 503) if is_retryable_status(status)]
    [408, 409, 429, 500, 503]
    """
    return status in {408, 409, 429} or status >= 500


def server_error(error: object, *, request_id: str | None = None, redact: Callable[[str], str] = str) -> ServerError:
    """The ServerError for an error object, or text, that came inside the stream.

    >>> error = server_error({"message": "slow down", "code": "429"})
    >>> str(error), error.status, error.retryable
    ('the server reported an error in the stream: slow down', 429, True)
    """
    reported = _reported(error).redacted(redact)
    retryable = is_retryable_status(reported.status) if reported.status else reported.type in _RETRYABLE_TYPES
    return ServerError(
        f"the server reported an error in the stream: {reported.message}",
        retryable=retryable and reported.code not in _FINAL_CODES,
        status=reported.status,
        code=reported.code,
        type=reported.type,
        request_id=request_id,
    )


def error_in_event(data: str, *, request_id: str | None = None, redact: Callable[[str], str] = str) -> ServerError:
    """The ServerError for an event of type `error`: an object, a flat one, or just text.

    >>> print(error_in_event('{"message": "boom"}'), error_in_event("boom").message, sep=" | ")
    the server reported an error in the stream: boom | the server reported an error in the stream: boom
    """
    try:
        error = json.loads(data)
    except (ValueError, RecursionError):
        error = data
    return server_error(error, request_id=request_id, redact=redact)


def error_in_object(body: dict[str, Any]) -> object | None:
    """The error that a JSON object of a feed holds, None where it holds none.

    >>> error_in_object({"error": {"message": "boom"}}), error_in_object({"choices": [], "error": None})
    ({'message': 'boom'}, None)
    """
    error: object = body.get("error")
    if not error:
        return body if body.get("object") == "error" else None
    # A text may have its code and status beside it.
    return body if isinstance(error, str) and not body.keys().isdisjoint(_BESIDE_A_TEXT) else error


def error_in_body(body: object) -> object | None:
    """The error that a whole JSON body holds, None where it holds none; Gemini sends a list of one.

    >>> error_in_body([{"detail": "Not Found"}]), error_in_body({"choices": []})
    ({'detail': 'Not Found'}, None)
    """
    if isinstance(body, list) and body:
        body = body[0]
    if not isinstance(body, dict):
        return None
    if (error := error_in_object(body)) is not None:
        return error
    return body if "choices" not in body and ("detail" in body or "message" in body) else None


def advice(status: int) -> str:
    """What the person at the keyboard can do about a status; it stands behind the server's own words in a StatusError.

    >>> advice(404)
    'check the model name and the base URL (is /v1 missing from its end?)'
    """
    return _ADVICE.get(status, "the server has a problem of its own: try again later" if status >= 500 else "")


def status_error(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    request_id: str | None = None,
    redact: Callable[[str], str] = str,
) -> StatusError:
    """The StatusError for a 4xx or 5xx answer; header names in lower case.

    >>> error = status_error(
    ...     429, {"retry-after": "2"}, b'{"error":{"message":"Slow down","type":"requests","code":null}}'
    ... )
    >>> print(error, error.retry_after, error.type)
    429: Slow down - too many requests, or the quota is used up 2.0 requests
    """
    reported = _reported(_parse(body, headers.get("content-type", ""))).redacted(redact)
    retryable = is_retryable_status(status) and reported.code not in _FINAL_CODES
    # The OpenAI SDKs obey this header of their servers, in both directions.
    if (should := headers.get("x-should-retry", "").lower()) in {"true", "false"}:
        retryable = should == "true"
    error = StatusError(
        " - ".join(filter(None, (f"{status}: {reported.message}", advice(status)))),
        retryable=retryable,
        status=status,
        code=reported.code,
        type=reported.type,
        request_id=request_id,
    )
    error.retry_after = retry_after(headers)
    return error


def retry_after(headers: Mapping[str, str], *, now: float | None = None) -> float | None:
    """The pause that the server asks for, in seconds (RFC 9110 10.2.3: seconds or a date), None without one.

    >>> retry_after({"retry-after-ms": "250"}), retry_after({"retry-after": "Thu, 01 Jan 1970 00:00:09 GMT"}, now=4.0)
    (0.25, 5.0)
    >>> retry_after({"retry-after": "soon"})
    """
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        if re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9})?", value := headers.get(name, "").strip()):
            return float(value) / unit
    try:
        date = parsedate_to_datetime(headers.get("retry-after", ""))
        return max(0.0, date.timestamp() - (time.time() if now is None else now))
    except (TypeError, ValueError, OverflowError):
        return None


def _parse(body: bytes, content_type: str) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        text = body.decode("utf-8", "replace").strip()
    if "html" in content_type or text[:1] == "<":
        title = re.search(r"<title[^<>]*>([^<]*)", text, re.IGNORECASE)
        return f"an HTML page: {title[1].strip()}" if title else "an HTML page"
    return text


def _reported(error: object) -> _Reported:
    if isinstance(error, list) and error:
        error = error[0]
    if isinstance(error, str):
        return _Reported(error, None, None, None)
    if not isinstance(error, dict):
        return _Reported("", None, None, None)
    status = _status(error)
    inner = error.get("error")
    for _ in range(3):  # deeper than any server wraps it
        if not isinstance(inner, dict):
            break
        error, status = inner, _status(inner) or status
        inner = error.get("error")
    if isinstance(errors := error.get("errors"), list) and errors and isinstance(errors[0], dict):
        error = {**errors[0], **error}  # Cloudflare's way
    detail = error.get("detail")
    message = next(
        (value for value in (error.get("message"), inner, detail, error.get("msg")) if isinstance(value, str)), ""
    )
    if not message and isinstance(detail, list):
        message = "; ".join(_validation_problem(item) for item in detail)
    code, kind = error.get("code"), error.get("type")
    return _Reported(
        message,
        None if code is None or isinstance(code, dict | list) else str(code),
        kind if isinstance(kind, str) else None,
        status,
    )


def _validation_problem(item: object) -> str:
    """One entry of FastAPI's 422: where and what."""
    if not isinstance(item, dict):
        return str(item)
    where = item.get("loc")
    place = ".".join(str(part) for part in where) if isinstance(where, list) else ""
    return f"{place}: {item.get('msg', '')}" if place else str(item.get("msg", ""))


def _status(error: dict[str, Any]) -> int | None:
    for name in ("status", "status_code", "code"):
        value = error.get(name)
        if isinstance(value, str) and re.fullmatch("[45][0-9][0-9]", value):
            value = int(value)
        if type(value) is int and 400 <= value <= 599:
            return value
    return None


def printable(text: str) -> str:
    r"""The text as a log or a terminal can bear it: no half surrogate pairs, no control characters but white space.

    >>> printable("a\x1b[2Jb\n\ud83d")
    'a\ufffd[2Jb\n\ufffd'
    """
    whole = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return _CONTROL.sub("\ufffd", whole)


def _short(text: str) -> str:
    text = " ".join(printable(text).split())
    return text if len(text) <= _MESSAGE_CHARS else text[: _MESSAGE_CHARS - 1] + "…"
