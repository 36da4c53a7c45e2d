from __future__ import annotations

import json
from datetime import UTC, datetime
from email.utils import format_datetime, formatdate

import pytest
from hypothesis import given, settings, strategies as st

from streamkit.errors import ServerError, StatusError
from streamkit.testing import chunk, sse
from streamkit.wire.failure import (
    error_in_body,
    error_in_event,
    is_retryable_status,
    retry_after,
    server_error,
    status_error,
)

from ..feeds import fold

PREFIX = "the server reported an error in the stream: "


def told(error):
    assert error.message.startswith(PREFIX)
    return error.message.removeprefix(PREFIX), error.code, error.type, error.status, error.retryable


def refused(status, body, **headers):
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    return status_error(status, {name.replace("_", "-"): value for name, value in headers.items()}, raw)


# --- errors inside the stream


def test_row_29_an_error_object_keeps_message_code_and_type():
    folded = fold(
        [sse(chunk("a"), {"error": {"message": "boom", "code": "busy", "type": "server_error"}}, chunk("never"))]
    )
    assert folded.completion.text == "a"
    assert told(folded.error) == ("boom", "busy", "server_error", None, True)


def test_row_30_an_error_text_keeps_its_message():
    assert told(fold([sse({"error": "boom"})]).error) == ("boom", None, None, None, False)


def test_row_31_an_error_event_with_a_flat_object():
    folded = fold([sse(chunk("a"), b'event: error\ndata: {"message": "boom", "code": 503}\n\n')])
    assert folded.completion.text == "a"
    assert told(folded.error) == ("boom", "503", None, 503, True)


def test_row_32_a_flat_error_object():
    folded = fold([sse(chunk("a"), {"object": "error", "message": "boom", "type": "BadRequestError", "code": 400})])
    assert told(folded.error) == ("boom", "400", "BadRequestError", 400, False)


def test_row_33_an_error_field_comes_after_the_text_before_it():
    folded = fold([sse(chunk("a"), b'error: {"code":500,"message":"boom","type":"server_error"}\n\n')])
    assert folded.completion.text == "a"
    assert told(folded.error) == ("boom", "500", "server_error", 500, True)


def test_row_34_text_beside_an_error_is_kept():
    last = {**chunk("b", finish_reason="error"), "error": {"code": 502, "message": "boom"}}
    folded = fold([sse(chunk("a"), last)])
    assert (folded.completion.text, folded.completion.finish_reason) == ("ab", "error")
    assert told(folded.error) == ("boom", "502", None, 502, True)


@pytest.mark.parametrize(
    ("code", "status", "retryable"),
    [
        (429, 429, True),
        ("429", 429, True),
        (500, 500, True),
        (400, 400, False),
        ("400", 400, False),
        (99, None, False),
        ("5xx", None, False),
        (True, None, False),
        (600, None, False),
        (200, None, False),
    ],
)
def test_row_35_a_status_hidden_in_the_code_says_whether_to_retry(code, status, retryable):
    error = server_error({"message": "m", "code": code})
    assert (error.status, error.retryable, error.code) == (status, retryable, str(code))


@pytest.mark.parametrize("name", ["status", "status_code", "code"])
def test_row_35_a_status_has_several_names(name):
    assert server_error({"message": "m", name: 503}).status == 503


def test_row_35_a_status_beside_the_error():
    assert server_error({"error": {"message": "m"}, "status_code": 503}).status == 503


@pytest.mark.parametrize(
    "feed", [sse({"error": "slow down", "code": 429}), b'event: error\ndata: {"error":"slow down","code":429}\n\n']
)
def test_row_35_a_status_beside_an_error_text(feed):
    assert told(fold([feed]).error) == ("slow down", "429", None, 429, True)


def test_row_36_an_error_after_the_finish_keeps_the_whole_text():
    folded = fold([sse(chunk("whole", finish_reason="stop"), {"error": {"message": "boom"}})])
    assert (folded.completion.text, folded.completion.finish_reason) == ("whole", "stop")
    assert told(folded.error)[0] == "boom"


@pytest.mark.parametrize(
    "kind", ["overloaded_error", "rate_limit_error", "server_error", "service_unavailable", "timeout"]
)
def test_some_types_may_be_retried_without_a_status(kind):
    assert server_error({"message": "m", "type": kind}).retryable
    assert not server_error({"message": "m", "type": kind, "status": 400}).retryable


@pytest.mark.parametrize(
    "code", ["insufficient_quota", "context_length_exceeded", "invalid_api_key", "model_not_found"]
)
def test_what_a_retry_cannot_mend_is_final_whatever_the_status(code):
    assert not server_error({"message": "m", "code": code, "status": 429}).retryable
    assert not refused(429, {"error": {"message": "m", "code": code}}).retryable


@pytest.mark.parametrize("nothing", [None, 5, [], {}, "", "  ", True, {"message": None}, {"message": 5}])
def test_an_error_without_a_message_says_so(nothing):
    assert told(server_error(nothing))[0] == "no reason given"


def test_the_request_id_is_kept():
    assert server_error("boom", request_id="r").request_id == "r"
    assert error_in_event("boom", request_id="r").request_id == "r"
    assert status_error(500, {}, b"", request_id="r").request_id == "r"


def test_a_long_message_is_cut_and_a_broken_one_is_one_line():
    assert told(server_error("a\n\n  b\tc"))[0] == "a b c"
    message = told(server_error("x" * 501))[0]
    assert message == "x" * 499 + "…"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("boom", "boom"),
        ('"boom"', "boom"),
        ('{"error": "boom"}', "boom"),
        ('{"error": {"message": "boom"}}', "boom"),
        ('{"error": {"error": {"message": "boom"}}}', "boom"),
        ('{"detail": "boom"}', "boom"),
        ('{"msg": "boom"}', "boom"),
        ("", "no reason given"),
        ("[" * 100_000, "[" * 499 + "…"),
    ],
)
def test_an_error_event_may_hold_anything(data, message):
    assert told(error_in_event(data))[0] == message


@pytest.mark.parametrize("depth", [100, 980, 1_500, 5_000])
def test_an_error_in_an_error_in_an_error_is_an_error(depth):
    body = '{"error": ' * depth + '"boom"' + "}" * depth
    assert isinstance(error_in_event(body), ServerError)
    assert isinstance(status_error(500, {}, body.encode()), StatusError)


# --- error answers


@pytest.mark.parametrize(
    ("body", "message", "code", "kind"),
    [
        ({"error": {"message": "m", "code": "c", "type": "t"}}, "m", "c", "t"),
        ({"error": {"message": "m", "code": None, "type": None}}, "m", None, None),
        ({"error": {"message": "m", "code": 1234}}, "m", "1234", None),
        ({"error": {"message": "m", "code": {}, "type": 5}}, "m", None, None),
        ({"error": "m"}, "m", None, None),
        ({"type": "error", "error": {"type": "t", "message": "m"}}, "m", None, "t"),
        ({"object": "error", "message": "m", "type": "t", "code": "1500"}, "m", "1500", "t"),
        ({"detail": "m"}, "m", None, None),
        ({"detail": [{"loc": ["body", "messages", 0], "msg": "m"}]}, "body.messages.0: m", None, None),
        ({"detail": [{"msg": "m"}, {"loc": ["a"], "msg": "n"}, "o"]}, "m; a: n; o", None, None),
        ({"msg": "m"}, "m", None, None),
        ("m", "m", None, None),
        (b"m", "m", None, None),
        (b"\n upstream  timed\nout ", "upstream timed out", None, None),
        (b"", "no reason given", None, None),
        (b"{}", "no reason given", None, None),
        (b"\xff\xfe\xfd", "\ufffd\ufffd\ufffd", None, None),
    ],
)
def test_row_11_every_shape_of_an_error_body(body, message, code, kind):
    error = refused(422, body)
    assert isinstance(error, StatusError)
    assert (error.message, error.code, error.type, error.status) == (f"422: {message}", code, kind, 422)


def test_row_11_an_error_in_a_list():
    # The OpenAI-compatible endpoint of Gemini sends its errors so.
    error = refused(400, [{"error": {"code": 400, "message": "API key not valid.", "status": "INVALID_ARGUMENT"}}])
    assert (error.message, error.code) == ("400: API key not valid.", "400")


@pytest.mark.parametrize(
    ("body", "content_type", "message"),
    [
        (b"<html><head><title>502 Bad\n Gateway</title></head>", "text/html", "an HTML page: 502 Bad Gateway"),
        (b"<!DOCTYPE html><TITLE lang=en>Oops</TITLE>", "", "an HTML page: Oops"),
        (b"<html><body>no title</body>", "text/html; charset=utf-8", "an HTML page"),
        (b"plain", "text/html", "an HTML page"),
        (b"plain <b>", "text/plain", "plain <b>"),
    ],
)
def test_row_11_an_html_page_is_named_by_its_title(body, content_type, message):
    assert refused(418, body, content_type=content_type).message == f"418: {message}"


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (400, None),
        (401, "check OPENAI_API_KEY or api_key="),
        (403, "not allowed"),
        (404, "is /v1 missing"),
        (413, "too large"),
        (422, None),
        (429, "too many requests"),
        (500, "try again later"),
        (503, "try again later"),
        (529, "try again later"),
    ],
)
def test_row_11_the_message_says_what_to_do(status, advice):
    message = refused(status, b"m").message
    assert message.startswith(f"{status}: m")
    if advice is None:
        assert message == f"{status}: m"
    else:
        assert advice in message


def test_row_11_the_status_says_whether_to_retry():
    retryable = [status for status in range(400, 600) if refused(status, b"").retryable]
    assert retryable == [408, 409, 429, *range(500, 600)] == list(filter(is_retryable_status, range(100, 600)))


@pytest.mark.parametrize(
    ("status", "header", "retryable"), [(400, "true", True), (500, "False", False), (500, "maybe", True)]
)
def test_row_11_the_server_may_say_itself_whether_to_retry(status, header, retryable):
    assert refused(status, b"", x_should_retry=header).retryable is retryable


def test_row_11_the_pause_that_the_server_asks_for_is_kept():
    assert refused(429, b"", retry_after="7").retry_after == 7.0
    assert refused(429, b"").retry_after is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": " 1.5 "}, 1.5),
        ({"retry-after-ms": "1500", "retry-after": "9"}, 1.5),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": formatdate(1_000_010, usegmt=True)}, 10.0),
        ({"retry-after": formatdate(999_990, usegmt=True)}, 0.0),
        (
            {"retry-after": format_datetime(datetime(9999, 12, 31, 23, 59, tzinfo=UTC))},
            253402300740.0 - 1_000_000,
        ),
        ({"retry-after": "-1"}, None),
        ({"retry-after": "1e3"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 5000}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "Thu, 99 Foo 1970"}, None),
        ({}, None),
    ],
)
def test_row_11_a_retry_after_is_seconds_or_a_date(headers, seconds):
    assert retry_after(headers, now=1_000_000.0) == seconds


def test_a_date_counts_from_now():
    seconds = retry_after({"retry-after": "Fri, 31 Dec 2100 00:00:00 GMT"})
    assert seconds is not None
    assert seconds > 0


@given(
    st.text(max_size=40)
    | st.from_regex(r"[A-Z][a-z]{2}, [0-9]{1,6} [A-Z][a-z]{2} [0-9]{1,6} [0-9:]{1,9} [-+A-Z0-9]{1,6}")
)
@settings(max_examples=300, deadline=None)
def test_any_retry_after_is_a_pause_or_none(value):
    seconds = retry_after({"retry-after": value, "retry-after-ms": value}, now=0.0)
    assert seconds is None or seconds >= 0


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "status", "detail", "loc", "msg", "object", "choices"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(json_values)
@settings(max_examples=300, deadline=None)
def test_any_json_is_an_error(value):
    body = json.dumps(value)
    for error in (server_error(value), error_in_event(body), status_error(500, {}, body.encode())):
        assert isinstance(error, ServerError | StatusError)
        assert error.message
        assert len(error.message) < 2_000
        assert error.code is None or isinstance(error.code, str)
        assert error.type is None or isinstance(error.type, str)
    error_in_body(value)


@given(st.binary(max_size=50), st.sampled_from(["", "text/html", "application/json"]))
@settings(max_examples=200, deadline=None)
def test_any_body_is_an_error(body, content_type):
    assert str(status_error(502, {"content-type": content_type}, body)).startswith("502: ")


# --- an error in a body


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "m"}}, {"message": "m"}),
        ({"error": "m"}, "m"),
        ({"error": {"message": "m"}, "choices": []}, {"message": "m"}),
        ({"object": "error", "message": "m"}, {"object": "error", "message": "m"}),
        ({"object": "error"}, {"object": "error"}),
        ({"detail": []}, {"detail": []}),
        ({"message": "m"}, {"message": "m"}),
        ({"message": "m", "choices": []}, None),
        ({"error": None, "choices": []}, None),
        ({}, None),
        ([], None),
        (None, None),
        ("m", None),
    ],
)
def test_row_8_an_error_object_instead_of_a_feed(body, error):
    assert error_in_body(body) == error
