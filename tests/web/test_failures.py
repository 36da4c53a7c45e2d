from __future__ import annotations

import json

import pytest

from streamkit import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamTimeout,
    TruncatedStream,
)
from streamkit.web.failures import error_body, failure_answer, not_found, status_of
from streamkit.web.log import UnknownStream
from streamkit.web.records import Failure
from streamkit.web.refusals import Refused
from streamkit.wire.failure import status_error

INSIDE = "10.0.0.7:8000 sk-canary-0123456789abcdef"


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ConnectionFailed(f"cannot connect to {INSIDE}"), 502, "upstream_http"),
        (ConnectionLost(f"{INSIDE} closed the connection"), 502, "upstream_cut"),
        (TruncatedStream("the answer is cut short"), 502, "upstream_cut"),
        (EmptyStream("not a single chunk came"), 502, "upstream_cut"),
        (StreamTimeout("nothing for 120 s"), 504, "upstream_timeout"),
        (ProtocolError(f"a page of {INSIDE}"), 502, "upstream_protocol"),
        (ServerError("boom"), 502, "upstream_http"),
        (ServerError("boom", status=529), 529, "upstream_http"),
        (ServerError("slow", status=429, code="tokens"), 429, "tokens"),
        (StatusError("400: no such field", status=400, code="unknown_field"), 400, "unknown_field"),
        (StatusError("407: proxy", status=407), 502, "upstream_http"),
        (StatusError("421: elsewhere", status=421), 502, "upstream_http"),
        (StatusError("503: busy", status=503), 503, "upstream_http"),
        (KeyError(INSIDE), 500, "internal"),
        (UnknownStream(INSIDE), 404, "not_found"),
        (not_found(), 404, "not_found"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else str(value),
)
def test_failure_has_a_status_and_an_error_object(error: Exception, status: int, code: str) -> None:
    answered, _, body = failure_answer(error)

    told = json.loads(body)
    assert answered == status
    assert list(told) == ["error"]
    assert list(told["error"]) == ["message", "type", "code", "param"]
    assert told["error"]["code"] == code
    assert told["error"]["message"]
    assert "sk-canary" not in body.decode()
    assert "10.0.0.7" not in body.decode()


@pytest.mark.parametrize(("seconds", "header"), [("0.1", "1"), ("7", "7"), ("7.2", "8")])
def test_upstream_asks_to_wait_and_has_an_id(seconds: str, header: str) -> None:
    error = status_error(429, {"retry-after": seconds}, b'{"error": {"message": "Slow down"}}', request_id="req_1")

    status, headers, body = failure_answer(error)

    assert (status, headers) == (429, {"retry-after": header, "x-request-id": "req_1"})
    assert json.loads(body)["error"]["code"] == "rate_limited"


def test_request_id_that_no_header_can_carry_is_left_out() -> None:
    assert failure_answer(StatusError("500", status=500, request_id="a\r\nset-cookie: b"))[1] == {}


def test_refusal_says_what_is_wrong_where_and_when_to_come_back() -> None:
    refused = Refused("n may be at most 8", status=400, code="too_many_choices", param="n", retry_after=0.0)

    status, headers, body = failure_answer(refused)

    assert (status, headers) == (400, {"retry-after": "1"})
    assert json.loads(body) == {
        "error": {
            "message": "n may be at most 8",
            "type": "invalid_request_error",
            "code": "too_many_choices",
            "param": "n",
        }
    }


def test_failure_of_a_record_is_answered_as_it_is() -> None:
    failure = Failure("the stream took longer", "server_error", "max_seconds", status=504)

    status, headers, body = failure_answer(failure)

    assert (status, headers, json.loads(body)["error"]["code"]) == (504, {}, "max_seconds")


@pytest.mark.parametrize("status", [None, 0, 100, 200, 302, 418, 451, 600])
def test_status_that_is_not_for_clients_is_a_bad_gateway(status: int | None) -> None:
    assert status_of(Failure("", status=status)) == 502


def test_error_object_has_four_fields_whatever_is_known() -> None:
    assert json.loads(error_body({"status": 500})) == {
        "error": {"message": None, "type": None, "code": None, "param": None}
    }
