from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import email.utils
import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from streamkit import (
    ConnectionFailed,
    ConnectionLost,
    ProtocolError,
    RetryPolicy,
    SSEDecoder,
    StatusError,
    StreamDriver,
    StreamError,
    StreamTimeout,
    Timeout,
)
from streamkit.testing import (
    Cut,
    End,
    Hang,
    Headers,
    Raw,
    Reset,
    Send,
    Step,
    Wait,
    answer,
    chunk,
    completion_server,
    sse,
)
from tests.conftest import require_or_skip

HELLO = sse(chunk("Hel", role="assistant"), chunk("lo"), chunk(finish_reason="stop"))
KEY = "sk-canary-0123456789abcdef"
AT_ONCE = RetryPolicy(retries=2, initial=0)


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


# --- servers that testing does not have: TLS, IPv6, Unix sockets ------------------------------------------------------


async def say_hello(request: web.Request) -> web.StreamResponse:
    await request.read()
    return web.Response(body=HELLO, content_type="text/event-stream")


@contextlib.asynccontextmanager
async def serving(
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
    site: Callable[[web.AppRunner], web.BaseSite] = lambda runner: web.TCPSite(runner, "127.0.0.1", 0),
) -> AsyncIterator[Any]:
    """An aiohttp server on one site; gives the address that it got."""
    app = web.Application()
    app.router.add_post("/v1/chat/completions", handler)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        await site(runner).start()
        yield runner.addresses[0]
    finally:
        await runner.cleanup()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for 127.0.0.1, and its key."""
    openssl = shutil.which("openssl")
    if openssl is None:
        require_or_skip("the openssl command is not installed; it makes the certificate of the test server")
    folder = tmp_path_factory.mktemp("tls")
    paths = folder / "certificate.pem", folder / "key.pem"
    names = ["-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-out", str(paths[0]), "-keyout", str(paths[1])]
    command = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files]
    subprocess.run(command, check=True, capture_output=True)
    return paths


@pytest.fixture
def tls_site(certificate: tuple[Path, Path]) -> Callable[[web.AppRunner], web.BaseSite]:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*certificate)
    return lambda runner: web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)


# --- no connection ----------------------------------------------------------------------------------------------------


async def test_a_refused_connection(unused_tcp_port: int) -> None:
    async with StreamDriver(f"http://127.0.0.1:{unused_tcp_port}/v1", retries=0) as driver:
        with pytest.raises(ConnectionFailed) as caught:
            await driver.stream("hi")
    assert isinstance(caught.value, ConnectionError)
    assert caught.value.retryable
    assert f"127.0.0.1:{unused_tcp_port}" in caught.value.message
    assert "base URL" in caught.value.message


async def test_an_unknown_host() -> None:
    async with StreamDriver("http://streamkit.invalid/v1", retries=0) as driver:
        with pytest.raises(ConnectionFailed, match=r"streamkit\.invalid.*base URL"):
            await driver.stream("hi")


async def test_a_refused_connection_is_tried_again(unused_tcp_port: int) -> None:
    attempts: list[int] = []
    async with StreamDriver(f"http://127.0.0.1:{unused_tcp_port}/v1", retries=AT_ONCE) as driver:
        stream = driver.stream("hi")
        stream.on("retry", lambda retry: attempts.append(retry.attempt))
        with pytest.raises(ConnectionFailed):
            await stream
    assert attempts == [1, 2]


async def test_no_connection_in_time() -> None:
    """A listener whose queue is full answers no SYN: the connect limit, not the one for content, ends it."""
    with socket.socket() as listener, contextlib.ExitStack() as queue:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            waiting = queue.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        await asyncio.sleep(0)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/v1"
        async with StreamDriver(url, retries=0, timeout=Timeout(connect=0.1, first=30)) as driver:
            with pytest.raises(StreamTimeout, match=r"Timeout\.connect") as caught:
                await driver.stream("hi")
    assert caught.value.phase == "connect"
    assert isinstance(caught.value, TimeoutError)


async def test_tls_to_a_plain_server() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(65_536)
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await reader.read()  # a server that hangs up first may reset the connection, and its answer is lost
        writer.close()

    server = await asyncio.start_server(refuse, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server, StreamDriver(f"https://127.0.0.1:{port}/v1", retries=0) as driver:
        with pytest.raises(ConnectionFailed, match="secure"):
            await driver.stream("hi")


async def test_plain_to_a_tls_server(tls_site: Callable[[web.AppRunner], web.BaseSite]) -> None:
    async with (
        serving(say_hello, tls_site) as (_, port),
        StreamDriver(f"http://127.0.0.1:{port}/v1", retries=0) as driver,
    ):
        with pytest.raises((ConnectionLost, ConnectionFailed, ProtocolError), match=f"127.0.0.1:{port}"):
            await driver.stream("hi")


async def test_a_certificate_that_nobody_signed(tls_site: Callable[[web.AppRunner], web.BaseSite]) -> None:
    async with (
        serving(say_hello, tls_site) as (_, port),
        StreamDriver(f"https://127.0.0.1:{port}/v1", retries=AT_ONCE) as driver,
    ):
        retries: list[object] = []
        stream = driver.stream("hi")
        stream.on("retry", retries.append)
        with pytest.raises(ConnectionFailed, match="ssl=") as caught:
            await stream
    assert not caught.value.retryable
    assert not retries


async def test_a_certificate_that_the_caller_trusts(
    certificate: tuple[Path, Path], tls_site: Callable[[web.AppRunner], web.BaseSite]
) -> None:
    async with serving(say_hello, tls_site) as (_, port):
        url = f"https://127.0.0.1:{port}/v1"
        async with StreamDriver(url, ssl=ssl.create_default_context(cafile=str(certificate[0]))) as driver:
            assert (await driver.stream("hi")).text == "Hello"
        async with StreamDriver(url, ssl=False) as driver:
            assert (await driver.stream("hi")).text == "Hello"


# --- other ways to connect --------------------------------------------------------------------------------------------


async def test_ipv6() -> None:
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        require_or_skip("this machine has no IPv6 loopback")
    async with (
        serving(say_hello, lambda runner: web.TCPSite(runner, "::1", 0)) as address,
        StreamDriver(f"http://[::1]:{address[1]}/v1") as driver,
    ):
        assert (await driver.stream("hi")).text == "Hello"


@pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="no Unix sockets on this system")
async def test_a_unix_socket_through_a_borrowed_session(tmp_path: Path) -> None:
    path = str(tmp_path / "server.sock")
    async with (
        serving(say_hello, lambda runner: web.UnixSite(runner, path)),
        aiohttp.ClientSession(connector=aiohttp.UnixConnector(path)) as session,
        StreamDriver("http://localhost/v1", session=session) as driver,
    ):
        assert (await driver.stream("hi")).text == "Hello"


async def test_a_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    # To a plain HTTP server a proxy is asked with the whole URL; a server that answers everything shows that it was.
    async with completion_server(HELLO) as proxy:
        monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{proxy.port}")
        async with StreamDriver("http://api.streamkit.invalid/v1") as driver:
            assert (await driver.stream("hi")).text == "Hello"
    assert proxy.requests[0].path == "http://api.streamkit.invalid/v1/chat/completions"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_this_machine_is_reached_without_a_proxy(
    host: str, monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int
) -> None:
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_tcp_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    async with completion_server(HELLO) as server, StreamDriver(f"http://{host}:{server.port}/v1") as driver:
        assert (await driver.stream("hi")).text == "Hello"


async def test_a_proxy_that_is_not_there(monkeypatch: pytest.MonkeyPatch, unused_tcp_port: int) -> None:
    monkeypatch.setenv("http_proxy", f"http://user:{KEY}@127.0.0.1:{unused_tcp_port}")
    async with StreamDriver("http://api.streamkit.invalid/v1", retries=0) as driver:
        with pytest.raises(ConnectionFailed, match="proxy") as caught:
            await driver.stream("hi")
    assert KEY not in f"{caught.value!r} {caught.value.__cause__!r}"


async def test_http_1_0_until_the_connection_closes() -> None:
    head = b"HTTP/1.0 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"
    async with completion_server([Raw(head + HELLO), Cut()]) as server, StreamDriver(server.base_url) as driver:
        assert (await driver.stream("hi")).text == "Hello"


async def test_what_is_no_http_at_all() -> None:
    async with (
        completion_server([Raw(b"SSH-2.0-OpenSSH_9.2\r\n"), Cut()]) as server,
        StreamDriver(server.base_url, retries=0) as driver,
    ):
        with pytest.raises(ProtocolError, match=f"127.0.0.1:{server.port}"):
            await driver.stream("hi")


async def test_an_informational_answer_before_the_real_one() -> None:
    early = b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"
    async with completion_server([Raw(early + head + HELLO), Cut()]) as server, StreamDriver(server.base_url) as driver:
        assert (await driver.stream("hi")).text == "Hello"


# --- error statuses ---------------------------------------------------------------------------------------------------


async def status_error(*script: Any, **options: Any) -> StatusError:
    async with completion_server(*script) as server, StreamDriver(server.base_url, KEY, retries=0, **options) as driver:
        with pytest.raises(StatusError) as caught:
            await driver.stream("hi")
    return caught.value


OPENAI_ERROR = {
    "error": {"message": "No such thing", "type": "invalid_request_error", "param": None, "code": "no_thing"}
}


@pytest.mark.parametrize(
    ("status", "body", "message", "code", "kind", "advice", "retryable"),
    [
        (400, OPENAI_ERROR, "No such thing", "no_thing", "invalid_request_error", "", False),
        (400, {"error": {"message": "No", "code": 400}}, "No", "400", None, "", False),
        (400, {"error": {"message": "No", "code": None}}, "No", None, None, "", False),
        (401, {"error": "Unauthorized"}, "Unauthorized", None, None, "OPENAI_API_KEY", False),
        (403, {"message": "No access", "type": "forbidden"}, "No access", None, "forbidden", "key", False),
        (404, {"detail": "Not Found"}, "Not Found", None, None, "/v1", False),
        (404, "404 page not found\n", "404 page not found", None, None, "/v1", False),
        (408, {}, "no reason given", None, None, "", True),
        (409, {"object": "error", "message": "Busy", "code": 7}, "Busy", "7", None, "", True),
        (413, "Payload Too Large", "Payload Too Large", None, None, "large", False),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "must be 1"}, {"msg": "bad"}]}, "body.n: must be 1; bad", None, None, "", False),
        (429, {"error": {"message": "Slow down", "type": "tokens", "code": "rate_limit_exceeded"}}, "Slow down", "rate_limit_exceeded", "tokens", "quota", True),
        (429, {"error": {"message": "Pay", "code": "insufficient_quota"}}, "Pay", "insufficient_quota", None, "quota", False),
        (500, b"Internal Server Error", "Internal Server Error", None, None, "later", True),
        (500, [], "no reason given", None, None, "later", True),
        (502, "<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>nginx</body></html>", "502 Bad Gateway", None, None, "later", True),
        (503, b"", "no reason given", None, None, "later", True),
        (529, {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, "Overloaded", None, "overloaded_error", "later", True),
    ],
)  # fmt: skip
async def test_error_bodies(
    status: int, body: object, message: str, code: str | None, kind: str | None, advice: str, retryable: bool
) -> None:
    error = await status_error(answer(status, body, {"x-request-id": "req_7"}))
    assert error.message.startswith(f"{status}: ")
    assert message in error.message
    assert advice in error.message
    assert "<" not in error.message
    assert str(error).endswith("(request id req_7)")
    assert (error.status, error.code, error.type, error.retryable) == (status, code, kind, retryable)
    assert error.retry_after is None
    assert error.completion.text == ""
    assert error.completion.ended_by == "error"


async def test_an_error_body_of_any_length_makes_a_short_message() -> None:
    error = await status_error(answer(400, {"error": {"message": "long " * 100_000}}))
    assert error.message.startswith("400: ")
    assert len(error.message) < 1_000


async def test_an_error_body_that_is_cut() -> None:
    error = await status_error([Headers(500), Send(b"Internal"), Cut()])
    assert "Internal" in error.message


async def test_an_error_body_in_several_reads() -> None:
    error = await status_error(
        [Headers(400), Send(b'{"error": {"mess'), Wait(0.01), Send(b'age": "No such thing"}}'), End()]
    )
    assert "No such thing" in error.message


async def test_an_error_body_that_never_ends_is_not_waited_for_longer_than_content() -> None:
    async with asyncio.timeout(5):
        async with (
            completion_server([Headers(500), Send(b"Internal"), Hang()]) as server,
            StreamDriver(server.base_url, retries=0, timeout=Timeout(first=0.1)) as driver,
        ):
            with pytest.raises((StatusError, StreamTimeout)):
                await driver.stream("hi")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "7"}, 0.25),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:37 GMT"}, 0.0),
    ],
)
async def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    assert (await status_error(answer(429, "no", headers))).retry_after == seconds


async def test_retry_after_as_a_date() -> None:
    later = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=100)
    error = await status_error(answer(429, "no", {"retry-after": email.utils.format_datetime(later, usegmt=True)}))
    assert error.retry_after is not None
    assert 90 < error.retry_after <= 100


# --- further attempts -------------------------------------------------------------------------------------------------


async def attempts(*scripts: Any, retries: RetryPolicy = AT_ONCE) -> tuple[list[Any], int, str | StreamError]:
    """The retry events, the number of requests, and the text or the error."""
    retried: list[Any] = []
    async with completion_server(*scripts) as server, StreamDriver(server.base_url, retries=retries) as driver:
        stream = driver.stream("hi")
        stream.on("retry", retried.append)
        try:
            result: str | StreamError = (await stream).text
        except StreamError as error:
            result = error
        return retried, len(server.requests), result


async def test_a_failed_attempt_is_made_again() -> None:
    retried, requests, text = await attempts(answer(503, "no"), answer(429, "no", {"retry-after": "0"}), HELLO)
    assert (requests, text) == (3, "Hello")
    assert [(retry.attempt, retry.delay, retry.error.status) for retry in retried] == [(1, 0.0, 503), (2, 0.0, 429)]
    assert retried[0].error.completion.text == ""


async def test_the_last_attempt_fails() -> None:
    retried, requests, error = await attempts(answer(503, "no"))
    assert (len(retried), requests) == (2, 3)
    assert isinstance(error, StatusError)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
async def test_what_is_not_tried_again(status: int) -> None:
    retried, requests, error = await attempts(answer(status, "no"))
    assert (retried, requests) == ([], 1)
    assert isinstance(error, StatusError)


async def test_what_the_server_says_of_retrying_holds() -> None:
    _, requests, _ = await attempts(answer(500, "no", {"x-should-retry": "false"}))
    assert requests == 1
    _, requests, text = await attempts(answer(400, "no", {"x-should-retry": "true"}), HELLO)
    assert (requests, text) == (2, "Hello")


async def test_a_pause_that_is_too_long_is_final() -> None:
    _, requests, error = await attempts(answer(429, "no", {"retry-after": "61"}))
    assert requests == 1
    assert isinstance(error, StatusError)
    assert error.retry_after == 61.0


@pytest.mark.parametrize("ending", [Cut(), Reset()])
async def test_a_cut_before_the_first_content_is_tried_again(ending: Step) -> None:
    """A role is no content: nothing has been published."""
    role = sse(chunk("", role="assistant"), done=False)
    chunks: list[str] = []
    async with (
        completion_server([Send(role), ending], HELLO) as server,
        StreamDriver(server.base_url, retries=AT_ONCE) as driver,
    ):
        stream = driver.stream("hi")
        stream.on("chunk", lambda chunk: chunks.append(chunk.text))
        completion = await stream
        assert len(server.requests) == 2
    assert completion.text == "Hello"
    assert chunks == ["Hel", "lo", ""]
    assert completion.choices[0].message.role == "assistant"


async def test_a_cut_after_the_first_content_is_not() -> None:
    _, requests, error = await attempts([Send(sse(chunk("Hel"), done=False)), Cut()])
    assert requests == 1
    assert isinstance(error, ConnectionLost)
    assert error.completion.text == "Hel"


async def test_an_overload_reported_first_in_the_stream_is_tried_again() -> None:
    overload = sse({"error": {"message": "overloaded", "code": 529}})
    retried, requests, text = await attempts(overload, HELLO)
    assert (len(retried), requests, text) == (1, 2, "Hello")


async def test_stream_options_are_given_up_once() -> None:
    refusal = answer(400, {"error": {"message": "unknown field stream_options"}})
    warnings: list[str] = []
    async with completion_server(refusal) as server, StreamDriver(server.base_url, retries=AT_ONCE) as driver:
        stream = driver.stream("hi", model="m")
        stream.on("warning", lambda warning: warnings.append(warning.kind))
        with pytest.raises(StatusError):
            await stream
        assert len(server.requests) == 2
    async with completion_server(answer(400, "no such model")) as server, StreamDriver(server.base_url) as driver:
        with pytest.raises(StatusError):
            await driver.stream("hi", model="m")
        assert len(server.requests) == 1


async def test_stream_options_stay_given_up_in_further_attempts() -> None:
    refusal = answer(400, {"error": {"message": "unknown field stream_options"}})
    start: list[Any] = []
    async with completion_server(refusal, answer(503, "no"), HELLO) as server:
        async with StreamDriver(server.base_url, retries=AT_ONCE) as driver:
            stream = driver.stream("hi", model="m")
            stream.on("start", start.append)
            assert (await stream).text == "Hello"
        assert ["stream_options" in request.json for request in server.requests] == [True, False, False]
    assert "stream_options" in start[0].request  # what was published does not change afterwards


# --- redirects --------------------------------------------------------------------------------------------------------


def redirect(status: int, location: str) -> Any:
    return answer(status, "elsewhere", {"location": location})


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_keeps_the_post_and_on_the_same_host_the_key(status: int) -> None:
    async with (
        completion_server(redirect(status, "/v2/chat/completions?x=1"), HELLO) as server,
        StreamDriver(server.base_url, KEY) as driver,
    ):
        assert (await driver.stream("hi", model="m")).text == "Hello"
    first, second = server.requests
    assert (second.method, second.path) == ("POST", "/v2/chat/completions?x=1")
    assert second.body == first.body
    assert second.headers["authorization"] == f"Bearer {KEY}"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"], ids=["another port", "another name"])
async def test_another_host_never_gets_the_key(host: str) -> None:
    secrets = {"api-key": KEY, "x-api-key": KEY, "cookie": f"session={KEY}", "x-goog-api-key": KEY, "x-mine": "1"}
    async with completion_server(HELLO) as other:
        target = f"http://{host}:{other.port}/v1/chat/completions"
        async with (
            completion_server(redirect(307, target)) as server,
            StreamDriver(server.base_url, KEY, headers=secrets) as driver,
        ):
            assert (await driver.stream("hi")).text == "Hello"
    [request] = other.requests
    assert KEY not in str(request.headers)
    assert KEY not in request.path
    assert "x-mine" not in request.headers  # any header may hold a key
    assert request.json["messages"] == [{"role": "user", "content": "hi"}]


async def test_the_key_is_not_given_back_to_the_first_host_by_way_of_another() -> None:
    async with (
        completion_server(HELLO) as third,
        completion_server(redirect(307, f"http://127.0.0.1:{third.port}/v1/x")) as second,
        completion_server(redirect(307, f"http://127.0.0.1:{second.port}/v1/x")) as first,
        StreamDriver(first.base_url, KEY) as driver,
    ):
        await driver.stream("hi")
    assert KEY not in str(third.requests[0].headers)


@pytest.mark.parametrize("status", [301, 302, 303])
async def test_a_redirect_that_would_lose_the_post_is_an_error(status: int) -> None:
    async with completion_server(redirect(status, "https://example.org/v1"), HELLO) as server:
        async with StreamDriver(server.base_url) as driver:
            with pytest.raises(StatusError, match=r"https://example\.org/v1.*base_url"):
                await driver.stream("hi")
        assert len(server.requests) == 1


async def test_redirects_for_ever() -> None:
    async with completion_server(redirect(307, "/v1/chat/completions")) as server:
        async with StreamDriver(server.base_url, retries=0) as driver:
            with pytest.raises(ProtocolError, match="redirects"):
                await driver.stream("hi")
        assert len(server.requests) < 20


@pytest.mark.parametrize(
    "location", ["http://[::1", "ftp://example.org/", "file:///etc/passwd", "http://", "http://a b/"]
)
async def test_a_redirect_to_nowhere(location: str) -> None:
    async with completion_server(redirect(307, location)) as server, StreamDriver(server.base_url, retries=0) as driver:
        with pytest.raises(StreamError, match="redirect") as caught:
            await driver.stream("hi")
    assert "streamkit failed" not in caught.value.message


# --- connections ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("apart", [False, True], ids=["in one write", "the last HTTP chunk comes late"])
async def test_streams_share_a_connection(apart: bool) -> None:
    peers: list[object] = []

    async def say(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        if not apart:
            return await say_hello(request)
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        await response.write(HELLO)
        await asyncio.sleep(0.005)
        await response.write_eof()
        return response

    async with serving(say) as (_, port), StreamDriver(f"http://127.0.0.1:{port}/v1") as driver:
        for _ in range(3):
            assert (await driver.stream("hi")).text == "Hello"
            while driver._lingering:
                await asyncio.sleep(0.001)
    assert len(peers) == 3
    assert len(set(peers)) == 1


async def test_a_refused_request_leaves_the_connection_usable() -> None:
    peers: list[object] = []

    async def refuse(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        peers.append(request.transport.get_extra_info("peername"))
        await request.read()
        return web.json_response({"error": {"message": "no"}}, status=400)

    async with serving(refuse) as (_, port), StreamDriver(f"http://127.0.0.1:{port}/v1") as driver:
        for _ in range(2):
            with pytest.raises(StatusError):
                await driver.stream("hi")
    assert len(peers) == 2
    assert len(set(peers)) == 1


@pytest.mark.parametrize("ending", [Cut(), Reset()])
async def test_a_stale_connection_is_replaced_silently(ending: Step) -> None:
    names: list[str] = []
    async with completion_server(HELLO, [ending], HELLO) as server, StreamDriver(server.base_url, retries=0) as driver:
        await driver.stream("hi")
        stream = driver.stream("hi")
        stream.on("*", lambda event: names.append(event.name))
        assert (await stream).text == "Hello"
        assert len(server.requests) == 3
    assert "retry" not in names
    assert names.count("connect") == 1


async def test_a_stale_connection_is_replaced_once_only() -> None:
    async with completion_server(HELLO, [Cut()]) as server, StreamDriver(server.base_url, retries=0) as driver:
        await driver.stream("hi")
        with pytest.raises(ConnectionLost):
            await driver.stream("hi")
        assert len(server.requests) == 3


async def test_an_answer_that_broke_off_in_its_head_is_not_asked_for_again() -> None:
    """A byte of a response came: the server had the request."""
    async with completion_server(HELLO, [Raw(b"HTTP/1.1 200 OK\r\nconte"), Cut()]) as server:
        async with StreamDriver(server.base_url, retries=0) as driver:
            await driver.stream("hi")
            with pytest.raises(StreamError) as caught:
                await driver.stream("hi")
        assert len(server.requests) == 2
    assert "RawResponseMessage" not in caught.value.message


async def test_done_with_the_socket_left_open() -> None:
    loop = asyncio.get_running_loop()
    async with completion_server([Send(HELLO), Hang()]) as server, StreamDriver(server.base_url) as driver:
        assert (await driver.stream("hi")).text == "Hello"
        done = loop.time()
        assert not server.requests[0].answered
        async with asyncio.timeout(5):
            await server.requests[0].closed.wait()
        assert server.requests[0].closed_at is not None
        assert server.requests[0].closed_at - done < 0.1


async def test_done_with_the_socket_left_open_and_the_driver_closed() -> None:
    async with completion_server([Send(HELLO), Hang()]) as server:
        async with StreamDriver(server.base_url) as driver:
            await driver.stream("hi")
        async with asyncio.timeout(5):
            await server.requests[0].closed.wait()


# --- cut at every byte ------------------------------------------------------------------------------------------------

SHORT = sse(
    {"choices": [{"index": 0, "delta": {"content": "é"}}, {"index": 1, "delta": {"content": "B"}}]},
    {"choices": [{"index": 0, "delta": {"content": "b"}, "finish_reason": "stop"}]},
    {"choices": [{"index": 1, "delta": {}, "finish_reason": "length"}]},
)
CLOSE_HEAD = b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n"
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
CHUNKED = (
    CHUNKED_HEAD
    + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in re.findall(rb"(?s).*?\n\n", SHORT))
    + b"0\r\n\r\n"
)


def body_in(answer: bytes) -> bytes:
    """What a client has of the body."""
    head, _, rest = answer.partition(b"\r\n\r\n")
    if b"chunked" not in head:
        return rest
    body = b""
    while size := re.match(rb"([0-9a-f]+)\r\n", rest):
        length = int(size[1], 16)
        body += rest[size.end() : size.end() + length]
        rest = rest[size.end() + length + 2 :]
    return body


def said_in(body: bytes, *, whole: bool) -> tuple[dict[int, str], dict[int, str], bool]:
    """The texts, the finish reasons, and whether [DONE] came; `whole`: a last event without its blank line counts."""
    decoder = SSEDecoder(lenient=True)
    events = decoder.feed(body) + (decoder.close() if whole else [])
    texts: dict[int, str] = {}
    finished: dict[int, str] = {}
    for event in events:
        if event.data == "[DONE]":
            return texts, finished, True
        with contextlib.suppress(ValueError):
            for choice in json.loads(event.data)["choices"]:
                texts[choice["index"]] = texts.get(choice["index"], "") + choice["delta"].get("content", "")
                if choice.get("finish_reason"):
                    finished[choice["index"]] = choice["finish_reason"]
    return texts, finished, False


@pytest.mark.parametrize("ending", [Cut(), Reset()], ids=["cut", "reset"])
@pytest.mark.parametrize("whole", [CHUNKED, CLOSE_HEAD + SHORT], ids=["chunked", "until close"])
async def test_a_cut_at_every_byte(whole: bytes, ending: Step) -> None:
    asyncio.get_running_loop().set_debug(False)
    cuts = [whole[:size] for size in range(len(whole))]
    async with (
        completion_server(*([Raw(sent), ending] for sent in cuts)) as server,
        StreamDriver(server.base_url, retries=0) as driver,
    ):
        for sent in cuts:
            try:
                completion, done = await driver.stream("hi"), True
            except StreamError as error:
                completion, done = error.completion, False
                assert "streamkit failed" not in error.message
            found = {choice.index: choice.message.content or "" for choice in completion.choices}
            reasons = {choice.index: choice.finish_reason for choice in completion.choices if choice.finish_reason}
            clean_eof = whole is not CHUNKED
            options = [said_in(body_in(sent), whole=flushed) for flushed in {False, clean_eof}]
            assert any((found, reasons) == (texts, finished) for texts, finished, _ in options), sent
            finished_all = bool(found) and reasons.keys() == found.keys()
            assert done == finished_all, sent
            assert completion.complete == done
    assert len(server.requests) == len(cuts)
