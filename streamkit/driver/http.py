"""The source of a stream over aiohttp: one request, its answer, and every way in which either can fail."""

from __future__ import annotations

import os
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any
from urllib.request import getproxies, proxy_bypass

import aiohttp
from aiohttp.http_exceptions import ContentEncodingError
from yarl import URL

from ..errors import ConnectionFailed, ConnectionLost, ProtocolError, StatusError, StreamError, StreamTimeout
from ..model import Connected, StreamWarning
from ..tape.redaction import is_secret_name
from ..version import __version__
from ..wire.failure import printable, status_error
from ..wire.request import encode_request

if TYPE_CHECKING:
    import ssl as ssl_module
    from collections.abc import Awaitable, Callable, Mapping

__all__ = ["HTTPSource", "proxy_from_environment", "trace_reuse"]

_ERROR_BODY_BYTES = 64 * 2**10
_REDIRECTS = 5

_HARMLESS_HEADERS = frozenset({"accept", "accept-encoding", "content-type", "user-agent"})

# The placeholder keys of local servers ("none", "EMPTY") are words that messages need.
_SECRET_CHARS = 8


class HTTPSource:
    """A completion request that can be sent, and sent again."""

    def __init__(
        self,
        session: Callable[[], aiohttp.ClientSession],
        url: URL,
        body: dict[str, Any],
        *,
        headers: Mapping[str, str],
        api_key: str | None,
        ssl: ssl_module.SSLContext | bool | None,
        connect_timeout: float | None,
        proxy_for: Callable[[URL], str | None],
        linger: Callable[[aiohttp.ClientResponse], None],
        settle: Callable[[], Awaitable[None]],
    ) -> None:
        self._session = session
        self._url = url
        self._body = body
        self._ssl: Any = True if ssl is None else ssl
        self._proxy_for = proxy_for
        self._linger = linger
        self._settle = settle
        self._headers = {
            "accept": "text/event-stream",
            # A proxy that compresses holds events back until its buffer is full.
            "accept-encoding": "identity",
            "content-type": "application/json",
            "user-agent": f"streamkit/{__version__}",
            **({"authorization": f"Bearer {api_key}"} if api_key else {}),
            **headers,
        }
        # "Bearer sk-…", "Token …", "Basic …": the scheme is no secret, what follows is.
        secrets = {name: value.rpartition(" ")[2] for name, value in self._headers.items()} | dict(url.query)
        self._secrets = [
            value for name, value in secrets.items() if is_secret_name(name) and len(value) >= _SECRET_CHARS
        ]
        # connect=: a connection from the pool or a new one, DNS and TLS included. The other limits are the pump's.
        self._timeout = aiohttp.ClientTimeout(total=None, connect=connect_timeout, sock_connect=None, sock_read=None)
        self._response: aiohttp.ClientResponse | None = None
        self._request_id: str | None = None
        self._failure: StreamError | None = None
        """What the next read raises, now that what had come before it was read."""

    @property
    def secrets(self) -> tuple[str, ...]:
        """The keys that were sent, for sinks that must not write them down."""
        return tuple(self._secrets)

    @property
    def server(self) -> str:
        """Host and port, as `StreamStart.server` has them."""
        return f"{self._url.host_subcomponent}:{self._url.port}"

    @property
    def request(self) -> Mapping[str, Any]:
        """The request body, as JSON values."""
        return self._body

    async def connect(self) -> tuple[Connected, list[StreamWarning]]:
        """Send the request and wait for the headers; StatusError for 4xx and 5xx."""
        try:
            return await self._answer(), []
        except StatusError as error:
            refused = error.status in {400, 422} and "stream_options" in error.message
            if not refused or "stream_options" not in self._body:
                raise
        # Some servers do not know the field; the usage is then lost, the answer is not.
        self._body = {name: value for name, value in self._body.items() if name != "stream_options"}
        return await self._answer(), [
            StreamWarning("stream_options_refused", "the server knows no stream_options: no usage")
        ]

    async def read(self) -> bytes:
        """The next bytes as they come; b"" at a clean end."""
        response = self._response
        if response is None:
            return b""
        if self._failure is not None:
            raise self._failure
        try:
            return await response.content.readany()
        except (
            aiohttp.ClientError,
            OSError,
            TimeoutError,
            RuntimeError,
        ) as error:  # RuntimeError: "Connection closed."
            failure = self._read_error(error)
            failure.__cause__ = _without_request(error)
            if not (unread := _unread(response)):
                raise failure from failure.__cause__
            self._failure = failure
            return unread

    def read_nowait(self) -> bytes:
        """What has come already."""
        response = self._response
        if response is None or response.content.exception() is not None:
            return b""
        return response.content.read_nowait()

    def close(self, *, whole: bool) -> None:
        """Close the connection, or give it back if the feed was read to its end."""
        response, self._response = self._response, None
        if response is None:
            return
        if not whole:
            response.close()
        elif response.content.is_eof():
            response.release()
        else:
            self._linger(response)

    def redact(self, text: str) -> str:
        """The text without the keys that were sent."""
        for secret in self._secrets:
            text = text.replace(secret, "[redacted]")
        return text

    async def _answer(self) -> Connected:
        await self._settle()
        response = await self._send_following_redirects()
        headers = {name.lower(): value for name, value in response.headers.items()}
        request_id = headers.get("x-request-id") or headers.get("request-id")
        request_id = self._request_id = printable(self.redact(request_id)) if request_id else None
        if 200 <= response.status < 300:
            self._response, self._failure = response, None
            return Connected(response.status, headers, request_id)
        body = await _error_body(response)
        if 300 <= response.status < 400:
            where = printable(self.redact(headers.get("location", "nowhere")))
            raise StatusError(
                f"{response.status}: the server redirects to {where}: use that as base_url",
                status=response.status,
                request_id=request_id,
            )
        raise status_error(response.status, headers, body, request_id=request_id, redact=self.redact)

    async def _send_following_redirects(self) -> aiohttp.ClientResponse:
        # By hand: aiohttp would turn a POST into a GET for some statuses, and carry key headers that it does not know
        # to another host.
        url, headers = self._url, self._headers
        for _ in range(_REDIRECTS):
            response = await self._send(url, headers)
            location = response.headers.get("location")
            if response.status not in {307, 308} or not location:
                return response
            response.release()
            target = self._redirect_target(url, location)
            if target.origin() != url.origin():
                # Any header may carry a key: another host gets only what says how to answer.
                headers = {name: value for name, value in headers.items() if name in _HARMLESS_HEADERS}
            url = target
        raise ProtocolError(f"more than {_REDIRECTS} redirects, the last to {url.host}")

    def _redirect_target(self, url: URL, location: str) -> URL:
        try:
            target = url.join(URL(location))
        except ValueError:
            target = URL()
        if target.scheme not in {"http", "https"} or not target.host or " " in target.host:
            raise ProtocolError(f"the server redirects to {self.redact(location)!r}, which is no http URL")
        return target

    async def _send(self, url: URL, headers: Mapping[str, str]) -> aiohttp.ClientResponse:
        session, data = self._session(), encode_request(self._body)

        # The trace of the session notes whether the connection was used before; of a borrowed one nothing is known.
        connection = {"reused": not session.trace_configs}

        async def post() -> aiohttp.ClientResponse:
            return await session.post(
                url,
                data=data,
                headers=headers,
                timeout=self._timeout,
                ssl=self._ssl,
                allow_redirects=False,
                proxy=self._proxy_for(url),
                trace_request_ctx=connection,
            )

        try:
            try:
                return await post()
            except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
                # A kept-alive connection that the server closed while the request was on its way to it. No byte of an answer
                # came, so the request may go out once more; a POST is never repeated by aiohttp itself.
                answered = isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str)
                if answered or isinstance(error, aiohttp.ClientConnectorError) or not connection["reused"]:
                    raise
                return await post()
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise self._connect_error(error, url) from _without_request(error)
        except (ValueError, TypeError, RuntimeError) as error:
            # What aiohttp says of settings that contradict each other (a borrowed session's auth and our key, a proxy's URL)
            # and of a session that is closed.
            raise ConnectionFailed(f"the request cannot be sent: {self.redact(_reason(error))}") from error

    def _connect_error(self, error: BaseException, url: URL) -> StreamError:
        where = f"{url.host}:{url.port}"
        if isinstance(error, aiohttp.ConnectionTimeoutError | aiohttp.SocketTimeoutError):
            return StreamTimeout(
                f"no connection to {where} within {self._timeout.connect:g} s (Timeout.connect)", phase="connect"
            )
        if isinstance(error, aiohttp.ClientConnectorDNSError):
            return ConnectionFailed(
                f"the host {url.host!r} is not known: check the base URL and the network", retryable=True
            )
        if isinstance(error, aiohttp.ClientSSLError):
            return ConnectionFailed(f"no secure connection to {where}: {_reason(error)}; see ssl= of StreamDriver")
        if isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
            return ConnectionFailed(f"the proxy did not connect to {where}: {_reason(error)}", retryable=True)
        if isinstance(error, aiohttp.ClientConnectorError):
            return ConnectionFailed(
                f"no connection to {where}: {_reason(error)}; is the server running, and the base URL right?",
                retryable=True,
            )
        if isinstance(error, aiohttp.ClientResponseError) and "content-encoding" in error.message:
            return ProtocolError(_undecodable(error.message))
        if isinstance(error, aiohttp.ClientResponseError):
            return ProtocolError(f"{where} does not speak HTTP as it should: {self.redact(_reason(error))}")
        return ConnectionLost(f"{where} closed the connection before it answered: {_reason(error)}", retryable=True)

    def _read_error(self, error: BaseException) -> StreamError:
        cause = error.__cause__
        if isinstance(error, ContentEncodingError) or isinstance(cause, ContentEncodingError):
            response = self._response
            coding = "" if response is None else response.headers.get("content-encoding", "")
            return ProtocolError(_undecodable(coding), request_id=self._request_id)
        return ConnectionLost(
            f"the connection was cut in the middle of the answer: {_reason(error)}",
            retryable=True,
            request_id=self._request_id,
        )


def proxy_from_environment(url: URL) -> str | None:
    """The proxy that HTTPS_PROXY, HTTP_PROXY, NO_PROXY (or the system's settings) name for a URL, None for none.

    Not by aiohttp's trust_env, which also reads ~/.netrc: a login found there contradicts the key, or goes where none was to go.
    """
    host = url.host or ""
    if host == "localhost" or _is_loopback(host):
        return None  # no proxy can reach it; a browser does not ask one either
    return None if proxy_bypass(host) else getproxies().get(url.scheme)


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def trace_reuse() -> aiohttp.TraceConfig:
    """What a session needs to tell a source whether a connection was used before."""

    async def reused(_session: object, context: Any, _params: object) -> None:  # noqa: ANN401 - aiohttp's namespace
        if isinstance(context.trace_request_ctx, dict):
            context.trace_request_ctx["reused"] = True

    trace = aiohttp.TraceConfig()
    trace.on_connection_reuseconn.append(reused)
    return trace


def _without_request(error: Exception) -> Exception:
    """aiohttp's error without the request that it remembers, whose headers hold the key and show in its repr."""
    if isinstance(error, aiohttp.ClientResponseError):
        error.request_info = error.history = error.headers = None  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]  # that is the point
        error.args = (error.status, error.message)
    return error


def _unread(response: aiohttp.ClientResponse) -> bytes:
    """What had come before a connection was cut; aiohttp itself raises the error first, and keeps the bytes.

    Taking the exception off the reader is the one way to them that its public methods leave; should another version of
    aiohttp know better, this finds nothing, and what the pump has read ahead is all there is.
    """
    content = response.content
    content.set_exception(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]  # see above
    return content.read_nowait()


def _undecodable(coding: str) -> str:
    extra = "; br needs the extra: pip install 'streamkit-asyncio[br]'" if "br" in coding else ""
    return f"the answer cannot be decoded (content-encoding: {coding}){extra}"


async def _error_body(response: aiohttp.ClientResponse) -> bytes:
    """As much of an error body as a message can need; a longer one is not worth the connection."""
    body = b""
    try:
        while len(body) < _ERROR_BODY_BYTES and (data := await response.content.readany()):
            body += data
    except (aiohttp.ClientError, OSError):
        pass  # what came says more than that it was cut
    finally:
        response.close()  # one that was read to its end has given its connection back already
    return body


def _reason(error: BaseException) -> str:
    """What the operating system or aiohttp says, in one line."""
    if isinstance(error, aiohttp.ServerDisconnectedError) and not isinstance(error.message, str):
        return "in the middle of the headers"  # its message is then what had been parsed of them
    inner = getattr(error, "os_error", None) or error
    number = getattr(inner, "errno", None)
    # asyncio puts words of its own into strerror.
    text = os.strerror(number) if isinstance(number, int) and number > 0 else str(inner) or type(error).__name__
    return " ".join(text.split())
