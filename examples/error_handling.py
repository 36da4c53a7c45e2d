"""What goes wrong with a completion feed, and what a program sees of it: each is a StreamError that says what to do.

Runs against a server of its own that misbehaves by script, whatever the environment says.
"""

from __future__ import annotations

import asyncio

from streamkit import (
    CompletionStream,
    ConnectionFailed,
    ConnectionLost,
    Retry,
    StatusError,
    StreamDriver,
    StreamError,
    StreamWarning,
)
from streamkit.testing import Cut, Script, Send, answer, chunk, completion_server, sse

GREETING = [chunk("Hello, "), chunk("world")]
FINISH = chunk("!", finish_reason="stop")

SCRIPTS: dict[str, Script] = {
    "a good answer": sse(*GREETING, FINISH),
    "a malformed chunk in the middle": sse(*GREETING, '{"choices": [', FINISH),
    "a wrong key": answer(401, {"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}),
    "an overloaded server, once": answer(503, "busy", {"retry-after": "0.1"}),
    "the same request again": sse(*GREETING, FINISH),
    "a connection that is cut": [Send(sse(*GREETING, done=False)), Cut()],
    "an error inside the stream": sse(*GREETING, {"error": {"message": "the model crashed", "code": 500}}, done=False),
    "an answer that just stops": sse(*GREETING, done=False),
}


def report(stream: CompletionStream) -> None:
    """A sink hears what happens on the way."""

    @stream.on("warning")
    def warn(warning: StreamWarning) -> None:
        print(f"  warning   {warning.kind}: {warning.detail}")

    @stream.on("retry")
    def retry(retry: Retry) -> None:
        print(f"  retry     in {retry.delay:g} s: {retry.error}")


async def ask(driver: StreamDriver) -> None:
    """The one who awaits the stream gets the error, whoever else listens."""
    try:
        completion = await driver.stream("Say hello", model="any")
    except ConnectionFailed as error:
        print(f"  no server {error}")
    except ConnectionLost as error:
        print(f"  cut       {error}\n  kept      {error.completion.text!r}")
    except StatusError as error:
        print(f"  status    {error.status}, code {error.code}: {error}")
    except StreamError as error:  # all of them
        kind = type(error).__name__
        print(f"  failed    {kind}, retryable: {error.retryable}\n            {error}")
        print(f"  kept      {error.completion.text!r}")
    else:
        print(f"  done      {completion.text!r}")


async def main() -> None:
    async with completion_server(*SCRIPTS.values()) as server:
        async with StreamDriver(server.base_url, api_key="none", sinks=[report]) as driver:
            for name in SCRIPTS:
                if name != "the same request again":  # it belongs to the retry before it
                    print(name)
                    await ask(driver)
        url = server.base_url

    print("no server at all")
    async with StreamDriver(url, api_key="none", retries=0) as driver:
        await ask(driver)


if __name__ == "__main__":
    asyncio.run(main())
