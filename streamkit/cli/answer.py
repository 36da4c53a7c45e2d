"""One stream, printed as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ListenerError, StreamAborted

if TYPE_CHECKING:
    from ..model import Chunk, Completion
    from ..stream import CompletionStream
    from .console import Console

__all__ = ["figures_line", "print_answer"]


async def print_answer(stream: CompletionStream, console: Console) -> tuple[Completion, str]:
    """Drive the stream with the console as its listener; returns the completion, and its figures in a line.

    Raises:
        StreamError, StreamAborted: how the stream ended.
        OSError: the console could not print (BrokenPipeError: nobody reads); the stream is aborted.
    """
    chunks = 0
    failures: list[BaseException] = []

    def count(chunk: Chunk) -> None:
        nonlocal chunks
        chunks += 1

    def stop(failure: ListenerError) -> None:
        failures.append(failure.__cause__ or failure)
        stream.abort("the output failed")

    stream.on("listener_error", stop)
    stream.on("chunk", count)
    stream.on("reasoning", console.reasoning)
    stream.on("text", console.text)
    stream.on("refusal", console.text)
    stream.on("warning", console.warning)
    try:
        completion = await stream
    except StreamAborted:
        if failures:
            raise failures[0] from None
        raise
    finally:
        if not failures:
            console.end_line()
    return completion, figures_line(completion, chunks)


def figures_line(completion: Completion, chunks: int) -> str:
    """When the first text came, chunks a second, usage; `chunks` is how many there were.

    >>> from streamkit.model import Completion, Timings, Usage
    >>> timings = Timings(first_chunk=0.25, first_text=0.25, last_chunk=2.25)
    >>> figures_line(Completion(usage=Usage(21, 87, 108), timings=timings), 41)
    'first text at 0.25 s, 20.0 chunks/s, 21 prompt + 87 completion = 108 tokens'
    """
    timings, figures = completion.timings, []
    if timings.first_text is not None:
        figures.append(f"first text at {timings.first_text:.2f} s")
    seconds = (timings.last_chunk or 0.0) - (timings.first_chunk or 0.0)
    # The first chunk begins the time, so it is not counted; in no time there is no rate.
    figures.append(f"{(chunks - 1) / seconds:.1f} chunks/s" if seconds > 0 else f"{chunks} chunk{'s'[: chunks != 1]}")
    figures.append("no usage reported" if completion.usage is None else str(completion.usage))
    return ", ".join(figures)
