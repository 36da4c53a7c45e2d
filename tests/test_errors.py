from __future__ import annotations

import functools
import inspect
import pickle

import pytest

from streamkit import errors
from streamkit.errors import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ListenerError,
    ProtocolError,
    ServerError,
    StatusError,
    StreamAborted,
    StreamError,
    StreamkitError,
    StreamTimeout,
    TapeError,
    TruncatedStream,
)
from streamkit.model import Completion

STREAM_ERRORS = [
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    ProtocolError,
    ServerError,
    StatusError,
    StreamTimeout,
    TruncatedStream,
]


def test_every_exception_is_in_the_tree_that_the_docstring_draws():
    drawn = errors.__doc__ or ""
    for name in errors.__all__:
        exception = getattr(errors, name)
        assert issubclass(exception, StreamkitError)
        assert name in drawn
    defined = [name for name, cls in inspect.getmembers(errors, inspect.isclass) if cls.__module__ == errors.__name__]
    assert sorted(defined) == sorted(errors.__all__)


def test_the_payloads_of_error_are_stream_errors_and_nothing_else_is():
    own = [cls for cls in StreamError.__subclasses__() if cls.__module__ == errors.__name__]  # tools has more
    assert set(own) == set(STREAM_ERRORS)
    assert not issubclass(StreamAborted, StreamError)
    assert not issubclass(ListenerError, StreamError)


@pytest.mark.parametrize(
    ("exception", "builtin"),
    [
        (ConnectionFailed, ConnectionError),
        (ConnectionLost, ConnectionError),
        (StreamTimeout, TimeoutError),
        (TapeError, ValueError),
    ],
)
def test_an_error_is_also_what_python_calls_it(exception, builtin):
    with pytest.raises(builtin, match="^what happened$") as caught:
        raise exception("what happened")
    assert isinstance(caught.value, exception)


def test_a_stream_error_has_what_the_server_said():
    error = ServerError("boom", retryable=True, status=503, code="busy", type="server_error", request_id="req_1")
    assert (error.message, error.retryable, error.status, error.code, error.type, error.request_id) == (
        "boom",
        True,
        503,
        "busy",
        "server_error",
        "req_1",
    )
    assert str(error) == "boom (request id req_1)"


@pytest.mark.parametrize("exception", [StreamError, *STREAM_ERRORS])
def test_what_is_not_known_of_a_stream_error_is_none(exception):
    error = exception("boom")
    assert (error.status, error.code, error.type, error.request_id) == (None, None, None, None)
    assert error.retryable is (exception is StreamTimeout)
    assert str(error) == "boom"
    assert repr(error) == f"{exception.__name__}('boom')"


def test_what_is_taken_out_of_a_message_is_nowhere_left():
    error = ServerError("wrong key sk-canary", request_id="r")
    error.message = "wrong key [redacted]"
    assert str(error) == "wrong key [redacted] (request id r)"
    assert "sk-canary" not in repr(error) + str(error.args)


def test_a_status_error_without_retry_after_says_none():
    error, other = StatusError("429"), StatusError("429")
    error.retry_after = 2.5
    assert (error.retry_after, other.retry_after) == (2.5, None)


@pytest.mark.parametrize("phase", ["connect", "first", "idle", "total"])
def test_a_timeout_says_which_limit_ran_out(phase):
    error = StreamTimeout("late", phase=phase, retryable=False, request_id="r")
    assert (error.phase, error.retryable, error.request_id) == (phase, False, "r")


def test_an_abort_says_why():
    assert str(StreamAborted("Stop")) == "aborted: Stop"
    assert str(StreamAborted()) == "aborted"
    assert StreamAborted().reason is None


class Counter:
    def __call__(self, event): ...

    def method(self, event): ...


def listener(event): ...


@pytest.mark.parametrize(
    ("called", "name"),
    [
        (listener, f"{__name__}.listener"),
        (functools.partial(listener, 1), f"{__name__}.listener"),
        (Counter(), f"{__name__}.Counter"),
        (Counter().method, f"{__name__}.Counter.method"),
        ([].append, "builtins.list.append"),
        (print, "builtins.print"),
    ],
)
def test_a_listener_error_names_the_listener_without_its_arguments(called, name):
    error = ListenerError("text", called)
    assert str(error) == f"listener {name} raised while it handled 'text'"
    assert error.listener is called


def test_a_listener_error_of_a_partial_does_not_show_what_is_bound_to_it():
    assert "secret prompt" not in str(ListenerError("text", functools.partial(listener, "secret prompt")))


def test_a_listener_error_of_a_plain_pyee_listener_says_so():
    assert str(ListenerError("done")) == "a listener on stream.emitter raised while it handled 'done'"


@pytest.mark.parametrize("exception", [StreamError, *STREAM_ERRORS])
def test_an_error_survives_a_process_boundary_with_its_completion(exception):
    error = exception("boom", retryable=True, request_id="r")
    error.completion = Completion(id="c")
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is exception
    assert (str(copy), copy.retryable, copy.completion) == (str(error), True, Completion(id="c"))


def test_an_abort_survives_a_process_boundary():
    copy = pickle.loads(pickle.dumps(StreamAborted("Stop")))
    assert str(copy) == "aborted: Stop"
