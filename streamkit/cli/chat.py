"""`streamkit chat`: a prompt or a conversation, with any OpenAI-compatible server."""

from __future__ import annotations

import asyncio
import os
import sys
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Any, Final

from ..driver import StreamDriver
from ..errors import StreamError
from .answer import print_answer
from .console import UsageError
from .record import recording
from .sinks import sinks_of

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterator, Sequence

    from ..stream import CompletionStream
    from .console import Console

__all__ = ["run_chat"]

_NO_TEXT: Final = "the prompt is not text in the encoding of the terminal: is it a binary file?"


def run_chat(options: Namespace, console: Console) -> None:
    """Ask what is to be asked and print the answers; in a conversation a failed one does not end it.

    Raises:
        UsageError: no server, no prompt, a setting that makes no sense, or a sink that cannot be.
        StreamError: how the stream of a single prompt failed.
        TapeError: the recording that was asked for cannot be made, or is not whole.
    """
    if not (options.base_url or os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY")):
        raise UsageError(
            "no server: set OPENAI_BASE_URL (or --base-url), and OPENAI_API_KEY if it asks for a key; "
            "`streamkit demo` needs neither"
        )
    model = options.model or os.environ.get("OPENAI_MODEL") or None
    settings = {"temperature": options.temperature, "max_tokens": options.max_tokens}
    settings = {name: value for name, value in settings.items() if value is not None}
    messages = [{"role": "system", "content": options.system}] if options.system else []
    prompts, is_conversation = _prompts(options.prompt)
    try:
        driver = StreamDriver(options.base_url, model=model)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    with ExitStack() as stack, asyncio.Runner() as runner:  # one loop for all turns, so that they share a connection
        sinks: list[Callable[[CompletionStream], object]] = []
        try:
            if options.record is not None:
                answers = None if is_conversation else 1
                sinks.append(stack.enter_context(recording(options.record, console, answers=answers)))
            sinks += stack.enter_context(sinks_of(options, console))
            for prompt in prompts:
                asked = {"role": "user", "content": _checked(prompt)}
                try:
                    answer = _ask(driver, [*messages, asked], settings, console, sinks, verbose=options.verbose)
                    text = runner.run(answer)
                except StreamError as error:
                    if model is None and error.status in {400, 404, 422}:
                        error.message += "; no model was named: set OPENAI_MODEL, or --model"
                    if not is_conversation:
                        raise
                    console.note(f"streamkit: {error}")
                else:
                    messages += [asked, {"role": "assistant", "content": text}]
        finally:
            runner.run(driver.close())


async def _ask(
    driver: StreamDriver,
    messages: list[dict[str, str]],
    settings: dict[str, Any],
    console: Console,
    sinks: Sequence[Callable[[CompletionStream], object]],
    *,
    verbose: bool,
) -> str:
    """Print one answer and its figures; returns its text."""
    try:
        stream = driver.stream(messages, **settings)
    except (TypeError, ValueError) as error:
        raise UsageError(str(error)) from None
    stream.attach(*sinks)
    if verbose:
        stream.on("*", console.event)
    completion, figures = await print_answer(stream, console)
    if completion.finish_reason not in {None, "stop"}:
        console.note(f"the answer ended with finish_reason {completion.finish_reason}")
    console.note(figures)
    return completion.text or completion.refusal


def _prompts(words: Sequence[str]) -> tuple[Iterator[str], bool]:
    """The prompts to ask, one after the other, and whether that is a conversation."""
    if words and list(words) != ["-"]:
        return iter([" ".join(words)]), False
    if not words and sys.stdin.isatty():
        return _typed(), True
    try:
        return iter([sys.stdin.read()]), False
    except UnicodeDecodeError:
        raise UsageError(_NO_TEXT) from None


def _typed() -> Iterator[str]:
    with suppress(ImportError):
        import readline  # noqa: F401  # its import gives input() line editing
    while True:
        try:
            if sys.stdout.isatty():
                prompt = input("> ")
            else:  # input() would write its prompt among the answers
                sys.stderr.write("> ")
                sys.stderr.flush()
                prompt = sys.stdin.readline()
                if not prompt:
                    raise EOFError
        except EOFError:
            sys.stderr.write("\n")
            return
        if prompt.strip():
            yield prompt.rstrip("\n")


def _checked(prompt: str) -> str:
    if not prompt.strip():
        raise UsageError("the prompt is empty: give one as an argument, or on standard input")
    try:
        prompt.encode()
    except UnicodeEncodeError:  # Python's stand-ins for bytes that it could not decode
        raise UsageError(_NO_TEXT) from None
    return prompt
