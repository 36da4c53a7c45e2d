"""A look at the upstream server before anybody relies on it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Final

import aiohttp
import msgspec
from yarl import URL

from ..errors import ConnectionFailed, StatusError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["upstream_models"]

_SECONDS: Final = 10.0

_MOST_BYTES: Final = 2**20


async def upstream_models(base_url: str, api_key: str | None = None) -> list[str]:
    """Ask a server for its models; it costs nothing, and shows whether the server is there and takes the key.

    Args:
        base_url: as for StreamDriver.
        api_key: sent as a bearer token.

    Returns:
        Their names; none where the server has no such list, which not all have.

    Raises:
        ConnectionFailed: nobody answers there.
        StatusError: 401 or 403.
    """
    url = URL(base_url)
    url = url.with_path(
        f"{url.raw_path.rstrip('/').removesuffix('/chat/completions')}/models", encoded=True, keep_query=True
    )
    headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
    timeout = aiohttp.ClientTimeout(total=_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout, trust_env=True) as session,
            session.get(url, headers=headers, allow_redirects=False) as response,
        ):
            if response.status in {401, 403}:
                raise StatusError(
                    f"the server at {_shown(url)} refused the key ({response.status}): set OPENAI_API_KEY to one that it takes"
                    if api_key
                    else f"the server at {_shown(url)} asks for a key ({response.status}): set OPENAI_API_KEY",
                    status=response.status,
                )
            body = await response.content.read(_MOST_BYTES)
    except (aiohttp.ClientError, OSError, TimeoutError) as error:
        reason = "no answer in time" if isinstance(error, TimeoutError) else _reason(error)
        raise ConnectionFailed(
            f"cannot reach the server at {_shown(url)}: {reason}; is its URL right, and does it run?"
        ) from None
    return _names(body) if response.status == 200 else []


def _names(body: bytes) -> list[str]:
    try:
        value: Mapping[str, Any] = msgspec.json.decode(body, type=dict)
    except ValueError:
        return []
    data = value.get("data")
    found = [model.get("id") for model in data if isinstance(model, dict)] if isinstance(data, list) else []
    return [name for name in found if isinstance(name, str)]


def _reason(error: Exception) -> str:
    cause = getattr(error, "os_error", error)
    number = getattr(cause, "errno", None)
    # The numbers below zero are those of name resolution, which has texts of its own.
    return (os.strerror(number) if number and number > 0 else getattr(cause, "strerror", None)) or type(error).__name__


def _shown(url: URL) -> str:
    return str(url.origin())
