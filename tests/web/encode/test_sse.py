from __future__ import annotations

from hypothesis import given, settings, strategies as st

from streamkit.web import Failure
from streamkit.web.encode.sse import DONE, HEADERS, HEARTBEAT, data_event, error_object

from .reading import data_of, events_of


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.text() | st.integers(-9, 9) | st.none(), lambda inner: st.dictionaries(st.text(), inner, max_size=3)
    )
)
def test_any_value_is_one_event(value: object):
    assert data_of(HEARTBEAT + data_event([value]) + HEARTBEAT + data_event({"x": value}) + HEARTBEAT) == [
        [value],
        {"x": value},
    ]


def test_a_heartbeat_is_no_event_wherever_it_stands():
    assert events_of(b"retry: 2\n" + HEARTBEAT + b"id: 1\n" + HEARTBEAT) == []
    assert HEARTBEAT.endswith(b"\n")
    assert HEARTBEAT.count(b"\n") == 1


def test_done_is_what_clients_look_for():
    assert data_of(DONE) == ["[DONE]"]


def test_no_header_lets_a_proxy_keep_or_change_the_stream():
    assert HEADERS == {"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no"}


def test_an_error_object_has_the_four_fields_of_the_api():
    assert error_object(Failure("m", "t", "c", "p", 400, "r", 1.0)) == {
        "message": "m",
        "type": "t",
        "code": "c",
        "param": "p",
    }
