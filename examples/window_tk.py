"""A chat window of tkinter: the answers appear as they come, Escape or Stop ends them, and the line below says how fast.

Runs as it stands: without OPENAI_BASE_URL, against a server of its own that plays a recorded answer.
"""

from __future__ import annotations

import os
import signal
import sys
import tkinter as tk
from collections.abc import Iterator
from contextlib import contextmanager
from tkinter import ttk
from tkinter.scrolledtext import ScrolledText

from streamkit import Completion, StreamDriver, demo_tape
from streamkit.gui import Batch, FrameSink
from streamkit.gui.tk import TkDispatcher, bind
from streamkit.loop_thread import LoopThread
from streamkit.testing import replay_server


@contextmanager
def base_url() -> Iterator[str]:
    if url := os.environ.get("OPENAI_BASE_URL"):
        yield url
    else:
        with LoopThread.shared().enter(replay_server(demo_tape())) as server:
            yield server.base_url


class ChatWindow(tk.Tk):
    def __init__(self, driver: StreamDriver) -> None:
        super().__init__(className="Streamkit")
        self.title("streamkit")
        self.geometry("720x480")
        ttk.Style(self).theme_use("clam")
        self.driver = driver
        self.messages: list[dict[str, str]] = []
        self.times: list[float] = []  # when each chunk of the answer came

        row = ttk.Frame(self, padding=8)
        row.pack(side="bottom", fill="x")
        self.status = ttk.Label(row, text="Ask something, and press Return.")
        self.status.pack(side="bottom", anchor="w", pady=(6, 0))
        self.entry = ttk.Entry(row, font=("TkTextFont", 12))
        self.entry.pack(side="left", fill="x", expand=True)
        self.send_button = ttk.Button(row, text="Send", command=self.ask)
        self.send_button.pack(side="left", padx=6)
        self.stop_button = ttk.Button(row, text="Stop", state="disabled")
        self.stop_button.pack(side="left")
        self.text = ScrolledText(self, wrap="word", font=("TkTextFont", 12), relief="flat", padx=12, pady=8, spacing3=2)
        self.text.tag_configure("question", font=("TkTextFont", 12, "bold"), spacing1=18, spacing3=6)
        self.text.configure(state="disabled")
        self.text.pack(fill="both", expand=True)
        self.entry.bind("<Return>", lambda _: self.send_button.invoke())
        self.bind("<Escape>", lambda _: self.stop_button.invoke())
        self.entry.focus()
        self.dispatcher = TkDispatcher(self)

    def ask(self) -> None:
        question = self.entry.get().strip()
        if not question:
            return
        self.entry.delete(0, "end")
        self.send_button.configure(state="disabled")
        self.status.configure(text="Waiting ...")
        self.text.configure(state="normal")
        self.text.insert("end", ("\n" if self.messages else "") + question + "\n", "question")
        self.text.see("end")

        self.messages.append({"role": "user", "content": question})
        self.times.clear()
        stream = self.driver.stream(self.messages)
        bind(stream, self.text, stop=self.stop_button)
        FrameSink(self.dispatcher, self.progress, events=["chunk"])(stream)
        LoopThread.shared().call_soon(stream.start)

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
            self.send_button.configure(state="normal")
        rate = f", {tokens / seconds:.0f} tokens/s" if seconds else ""
        self.status.configure(text=f"{tokens} tokens{rate}")


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # ^C: an idle Tk runs no Python that could notice it
    thread, model = LoopThread.shared(), os.environ.get("OPENAI_MODEL", "gpt-4.1-mini")
    with base_url() as url, thread.enter(StreamDriver(url, model=model)) as driver:
        try:
            window = ChatWindow(driver)
        except tk.TclError as error:
            sys.exit(f"There is no window to show: {error}.")
        window.mainloop()


if __name__ == "__main__":
    main()
