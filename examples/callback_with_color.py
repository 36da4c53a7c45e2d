"""A callback that gets each piece of text as it comes, and colours it: green for letters, cyan for the rest.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from streamkit import demo_tape
from streamkit.blocking import complete
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server

COLOURED = sys.stdout.isatty() and not os.environ.get("NO_COLOR")  # https://no-color.org


@contextmanager
def base_url() -> Iterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        with LoopThread.shared().enter(replay_server(demo_tape(), speed=2)) as server:
            yield server.base_url


def colour(code: str, text: str) -> str:
    return f"\033[{code}m{text}\033[0m" if COLOURED else text


def show(text: str) -> None:
    """Runs in the thread that called `complete`; what it raises aborts the stream."""
    print(colour("32" if text.strip().isalpha() else "36", text), end="", flush=True)


def main() -> None:
    with base_url() as url:
        model = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
        completion = complete("Write a poem", model=model, base_url=url, on_text=show)
    print(colour("2", f"\n\n{completion.model}, {completion.usage}"))


if __name__ == "__main__":
    main()
