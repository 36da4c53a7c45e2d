from __future__ import annotations

import pytest

from streamkit import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamError,
    StreamTimeout,
    TruncatedStream,
)
from streamkit.web.public_errors import failure_of
from streamkit.wire.failure import server_error, status_error

ERRORS: list[tuple[StreamError, str | None, int | None]] = [
    (StreamTimeout("no content came for 1 s", phase="idle"), "upstream_timeout", 504),
    (ConnectionFailed("cannot connect to 10.0.0.7:8000"), "upstream_http", 502),
    (ConnectionLost("the connection to 10.0.0.7 was reset"), "upstream_cut", 502),
    (TruncatedStream("the answer is cut short"), "upstream_cut", 502),
    (EmptyStream("no chunk"), "upstream_cut", 502),
    (ProtocolError("<html>inside of the house 10.0.0.7</html>"), "upstream_protocol", 502),
    (StatusError("slow down", status=429), "rate_limited", 429),
    (
        StatusError("no", status=400, code="context_length_exceeded", type="invalid_request_error"),
        "context_length_exceeded",
        400,
    ),
    (ServerError("overloaded", code="529", status=529), "529", 529),
    (StreamError("KeyError: 10.0.0.7"), "internal", 500),
]


@pytest.mark.parametrize(("error", "code", "status"), ERRORS)
def test_clients_are_told_a_code_and_a_status_and_nothing_of_the_house(
    error: StreamError, code: str | None, status: int | None
):
    failure = failure_of(error)
    assert (failure.code, failure.status) == (code, status)
    assert failure.message
    assert "10.0.0.7" not in failure.message


def test_retry_after_and_a_valid_request_id_are_passed_on():
    error = StatusError("slow down", status=429, request_id="req_1")
    error.retry_after = 2.5
    failure = failure_of(error)
    assert (failure.retry_after, failure.request_id) == (2.5, "req_1")


@pytest.mark.parametrize("request_id", ["a\r\nset-cookie: x", "", "x" * 200, "a b", "é"])
def test_a_request_id_that_no_header_should_carry_is_left_out(request_id: str):
    assert failure_of(StatusError("no", status=500, request_id=request_id)).request_id is None


@pytest.mark.parametrize(
    "key", ["sk-proj-abcdef0123456789", "Bearer abc.def", "gsk_0123456789abcdef", "hf_abcdefghijkl", "bearer x"]
)
def test_what_looks_like_a_key_is_in_no_failure(key: str):
    failure = failure_of(StatusError(f"Incorrect API key: {key}.", status=401, code=key, type=key))
    assert key not in repr(failure)


@pytest.mark.parametrize("status", [400, 404, 413, 422, 429, 500, 503])
def test_the_upstreams_own_words_are_passed_on_without_what_the_driver_put_around_them(status: int):
    error = status_error(status, {}, b'{"error":{"message":"429: No - max_tokens is too large"}}')
    assert failure_of(error).message == "429: No - max_tokens is too large"


def test_of_an_error_in_the_stream_the_upstreams_own_words_are_passed_on():
    assert failure_of(server_error({"message": "overloaded"})).message == "overloaded"


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_upstream_says_of_the_relays_own_key_is_for_nobody_else(status: int):
    said = b'{"error":{"message":"Incorrect API key provided: sk-proj-ab****wxyz","code":"invalid_api_key"}}'
    failure = failure_of(status_error(status, {}, said))
    assert failure.message == "the upstream server refused the credentials of this relay"
    assert (failure.code, failure.status) == ("invalid_api_key", status)
