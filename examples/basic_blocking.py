"""The text of a completion in a plain `for` loop: no async, no callbacks.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from streamkit import demo_tape
from streamkit.blocking import stream_text
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server


@contextmanager
def base_url() -> Iterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        with LoopThread.shared().enter(replay_server(demo_tape(), speed=2)) as server:
            yield server.base_url


def main() -> None:
    with base_url() as url:
        answer = stream_text("Write a poem", model=os.environ.get("OPENAI_MODEL", "gpt-4.1-mini"), base_url=url)
        for text in answer:  # ^C, or leaving the loop, aborts the stream
            print(text, end="", flush=True)

        completion = answer.completion
        print(f"\n\n{completion.finish_reason}: {completion.usage}")


if __name__ == "__main__":
    main()
