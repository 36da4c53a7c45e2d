"""A chat window in a terminal, by Textual: Markdown as it comes, Escape or Stop ends it, and the line below says how fast.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

from textual.app import App
from textual.containers import Horizontal, VerticalScroll
from textual.widget import Widget
from textual.widgets import Input, Label, Markdown

from streamkit import Completion, StreamDriver, demo_tape
from streamkit.gui import Batch, FrameSink
from streamkit.gui.textual import StopButton, TextualDispatcher, bind
from streamkit.testing import replay_server


@asynccontextmanager
async def base_url() -> AsyncIterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        async with replay_server(demo_tape()) as server:
            yield server.base_url


class ChatWindow(App[None]):
    TITLE = "streamkit"
    CSS = """
    #chat { padding: 1 2; }
    .question { text-style: bold; color: $accent; width: 100%; margin-top: 1; }
    Markdown { margin: 1 0 0 0; padding: 0; }
    #row { height: 3; }
    #row Input { width: 1fr; }
    #status { padding: 0 2; color: $text-muted; }
    """
    BINDINGS = [("escape", "stop", "Stop")]  # noqa: RUF012 - as Textual has it

    def __init__(self, driver: StreamDriver) -> None:
        super().__init__()
        self.driver = driver
        self.messages: list[dict[str, str]] = []
        self.times: list[float] = []  # when each chunk of the answer came

    def compose(self) -> Iterator[Widget]:
        yield VerticalScroll(id="chat", can_focus=False)
        yield Label("Ask something, and press Return.", id="status", markup=False)
        yield Horizontal(Input(placeholder="Your question"), StopButton(variant="error"), id="row")

    def on_mount(self) -> None:
        self.stop = self.query_one(StopButton)
        self.query_one(Input).focus()

    async def on_input_submitted(self, event: Input.Submitted) -> None:
        question = event.value.strip()
        if not question or not self.stop.disabled:
            return
        event.input.clear()
        answer = Markdown()
        await self.query_one("#chat").mount(Label(question, classes="question", markup=False), answer)

        self.messages.append({"role": "user", "content": question})
        self.times.clear()
        self.status("Waiting ...")
        stream = self.driver.stream(self.messages)
        bind(stream, answer, stop=self.stop)
        FrameSink(TextualDispatcher(self), self.progress, events=["chunk"])(stream)
        stream.start()

    def progress(self, batch: Batch) -> None:
        self.times += [event.at for event in batch.events]
        tokens, seconds = len(self.times), self.times[-1] - self.times[0] if self.times else 0.0
        if batch.ending is not None:
            completion = batch.ending if isinstance(batch.ending, Completion) else batch.ending.completion
            if completion.text:  # what came of the answer is remembered, however it ended
                self.messages.append({"role": "assistant", "content": completion.text})
            else:
                self.messages.pop()
            tokens = completion.usage.completion_tokens or tokens if completion.usage else tokens
        self.status(f"{tokens} tokens" + (f", {tokens / seconds:.0f} tokens/s" if seconds else ""))

    def status(self, text: str) -> None:
        self.query_one("#status", Label).update(text)

    def action_stop(self) -> None:
        self.stop.press()


async def main() -> None:
    model = os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
    async with base_url() as url, StreamDriver(url, model=model) as driver:
        await ChatWindow(driver).run_async()


if __name__ == "__main__":
    asyncio.run(main())
