"""`streamkit serve`: a relay before a server, or before a recorded answer, with a page to try it in."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import urlsplit

from ..driver import StreamDriver
from ..driver.stream_driver import DEFAULT_BASE_URL
from ..tape import demo_tape, load_tape
from ..testing import replay_server
from ..web.access import ANONYMOUS, CORS, bearer_tokens, loopback_only
from ..web.relay import Relay
from ..web.site import relay_site
from ..web.upstream import upstream_models
from .console import UsageError

if TYPE_CHECKING:
    from argparse import Namespace

    from ..web.access import Authorize, Principal
    from ..web.http import Request
    from .console import Console

__all__ = ["run_serve"]

GRACE: Final = 60.0
"""Seconds for which an answer goes on without its page: a closed laptop, a train in a tunnel."""


def run_serve(options: Namespace, console: Console) -> None:
    """Serve the relay until ^C or SIGTERM; prints its URL once it can be asked.

    Raises:
        UsageError: a setting that makes no sense, or an address that cannot be listened on.
        TapeError: `options.tape` is no tape.
        StreamError: the upstream server cannot be reached, or asks for a key.
    """
    try:
        tokens = {f"token {number}": token for number, token in enumerate(_tokens(options), 1)}
        authorize = bearer_tokens(tokens) if tokens else None
        cors = CORS(options.cors) if options.cors else None
    except ValueError as error:
        raise UsageError(str(error)) from None
    if authorize is None and _is_loopback(options.host):
        authorize = _this_machine
    with suppress(KeyboardInterrupt):  # how a server is meant to end
        asyncio.run(_serve(options, console, authorize, cors))


async def _serve(options: Namespace, console: Console, authorize: Authorize | None, cors: CORS | None) -> None:
    async with AsyncExitStack() as stack:
        upstream = await _upstream(options, console, stack)
        driver = await stack.enter_async_context(
            StreamDriver(upstream.base_url, upstream.api_key, model=upstream.models[0] if upstream.models else None)
        )
        relay = Relay(driver, authorize=authorize, cors=cors, models=upstream.models or None, page=True, grace=GRACE)
        try:
            url = await stack.enter_async_context(relay_site(relay, options.host, options.port))
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or str(error)
            raise UsageError(
                f"cannot listen on {options.host} port {options.port}: {reason}; choose another (--host, --port)"
            ) from None
        console.text(f"{url}\n")
        console.note(f"relays {upstream.name}, until ^C; OpenAI clients: OPENAI_BASE_URL={url}/v1")
        if authorize is None:
            console.note("whoever can reach this address can use it: --token makes it ask for one")
        await _until_told()


class _Upstream(NamedTuple):
    base_url: str
    api_key: str
    models: list[str]
    name: str


async def _upstream(options: Namespace, console: Console, stack: AsyncExitStack) -> _Upstream:
    """What stands behind the relay, and is there."""
    models = options.model or list(filter(None, [os.environ.get("OPENAI_MODEL")]))
    base_url = options.base_url or os.environ.get("OPENAI_BASE_URL")
    key = os.environ.get("OPENAI_API_KEY", "").strip() or None
    if options.tape is not None and options.base_url:
        raise UsageError("--tape and --base-url are both a server to relay: give one")
    if options.tape is not None or not (base_url or key):
        tape = demo_tape() if options.tape is None else load_tape(options.tape)
        server = await stack.enter_async_context(replay_server(tape, options.speed))
        os.environ["no_proxy"] = "127.0.0.1"  # loopback is behind no proxy, whatever the environment says
        name = "the recorded demo answer" if options.tape is None else f"the answer on {options.tape}"
        # The key in the environment is for another server.
        return _Upstream(server.base_url, "", models or ["demo"], name)
    base_url = base_url or DEFAULT_BASE_URL
    try:
        await StreamDriver(base_url, key or "").close()
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    offered = await upstream_models(base_url, key)
    if not models and len(offered) == 1:
        models = offered
    if not models:
        console.note("no model was named (--model, OPENAI_MODEL): each client has to name one")
    return _Upstream(base_url, key or "", models, urlsplit(base_url).hostname or base_url)


async def _until_told() -> None:
    """Wait for SIGTERM; ^C cancels the wait."""
    told = asyncio.Event()
    with suppress(NotImplementedError):  # on Windows, where nobody sends it
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    await told.wait()


def _tokens(options: Namespace) -> list[str]:
    return options.token or os.environ.get("STREAMKIT_TOKEN", "").split()


def _this_machine(request: Request) -> Principal:
    loopback_only(request)
    return ANONYMOUS


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
