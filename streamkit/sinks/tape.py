"""`TapeSink`: a recording of each stream."""

from __future__ import annotations

import asyncio
import logging
import os
import random
from functools import partial
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import (
    ConnectionFailed,
    ConnectionLost,
    EmptyStream,
    StatusError,
    StreamTimeout,
    TapeError,
    TruncatedStream,
)
from ..tape import TapeWriter
from ..wire.request import encode_request
from .tape_files import TapeFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from ..errors import StreamError
    from ..model import Completion, Connected, Read, Retry, StreamStart
    from ..stream import CompletionStream
    from ..tape import Ending

__all__ = ["TapeSink"]

log = logging.getLogger("streamkit.sinks.tape")


class TapeSink:
    """Records every stream that it is given, each on a tape of its own, read by read as the bytes came.

    A tape holds the request body (the prompt), the headers of the answer and all of its body; no request headers, and
    no key: headers and fields that are named like one are redacted, and so are the keys that the driver sends and
    `secrets` wherever they appear (a server may quote the key that it was sent). Of a request that was made again it holds the
    last attempt, with times since that attempt; of one that was refused (4xx, 5xx) the status, without the body. A stream of
    several rounds (`run_tools`) makes a tape for each of its requests; a single file holds the first one (with `overwrite`, the
    last).

    Recording never harms the stream. A tape that cannot be written further (a full disk, `max_bytes`) stays as it is,
    without an end, and one warning is logged on `streamkit.sinks.tape`.

    Args:
        path: a file, which must not exist; a name with `{n}` (as in `tapes/answer-{n:04}.sse.jsonl`), for the next
            number that is free; or a folder, for `{n:06}.sse.jsonl` in it. A file holds one stream: who records several
            needs one of the latter two. It is made when the stream starts, for its owner only (mode 0600).
        overwrite: replace a file of that name; with `{n}` nothing is ever replaced.
        secrets: what else must not get onto a tape. In what was read, only those of 8 bytes or more.
        sample: the share of the streams that is recorded, chosen at random: 1.0 all, 0.01 one in a hundred.
        max_bytes: how large a tape may become; None: no limit. The header, with the request, is always written.

    Raises:
        ValueError: a setting that makes no sense.
        TapeError: when it is given a stream: the file exists, its folder does not, or it cannot be written.

    >>> import asyncio, tempfile
    >>> from streamkit import StreamDriver, demo_tape, load_tape
    >>> from streamkit.testing import replay_server
    >>> async def main(folder):
    ...     async with replay_server(demo_tape(), speed=0) as server:
    ...         async with StreamDriver(server.base_url, sinks=[TapeSink(folder)]) as driver:
    ...             await driver.stream("Write a poem")
    ...     return load_tape(folder + "/000001.sse.jsonl")
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     tape = asyncio.run(main(folder))
    >>> tape.body == demo_tape().body, tape.ending
    (True, 'eof')
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        secrets: Iterable[str] = (),
        sample: float = 1.0,
        max_bytes: int | None = None,
    ) -> None:
        self._files = TapeFiles(path, overwrite=overwrite)
        self._path = os.fspath(path)
        self._secrets = (secrets,) if isinstance(secrets, str) else tuple(secrets)
        if not 0 <= sample <= 1:
            raise ValueError(f"sample must be a share, from 0 to 1, not {sample!r}")
        self._sample = sample
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise ValueError(f"max_bytes must be a whole number, 1 or more, or None, not {max_bytes!r}")
        self._max_bytes = max_bytes

    def __call__(self, stream: CompletionStream) -> None:
        """Record a stream, or leave it out of the sample."""
        if self._sample < 1 and random.random() >= self._sample:  # noqa: S311 - no secret depends on it
            return
        self._files.check()
        secrets = (*self._secrets, *stream.secrets)
        recording = _Recording(self._files, partial(TapeWriter.open, secrets=secrets, max_bytes=self._max_bytes))
        stream.on("start", recording.start)
        if stream.has_event("round"):
            on: Any = stream.on  # its types know the events of every stream
            on("round", recording.round)
        stream.on("connect", recording.connect)
        stream.on("read", recording.read)
        stream.on("retry", recording.retry)
        stream.on("error", recording.error)
        stream.on("end", recording.end)

    def __repr__(self) -> str:
        return f"<TapeSink {self._path!r}>"


class _Recording:
    """One stream on its tape: sync listeners, so that a read is on the tape before anyone else has seen it."""

    def __init__(self, files: TapeFiles, open_tape: Callable[..., TapeWriter]) -> None:
        self._files = files
        self._open = open_tape
        self._path: Path | None = None
        self._writer: TapeWriter | None = None
        self._request: dict[str, Any] = {}
        self._start: StreamStart | None = None
        self._connected = False
        self._origin = 0.0
        """When the request left that the tape is of: loop clock."""
        self._latest = 0.0
        self._error: StreamError | None = None

    def start(self, start: StreamStart) -> None:
        self._start, self._origin = start, start.at
        self._begin(start.request)

    def round(self, start: Any) -> None:  # noqa: ANN401 - a RoundStart of tools, which sinks do not know
        """The next request of a stream that has several; the first one came with its start."""
        if not self._connected:
            return
        self._finish("eof", self._since(_now()))
        self._connected, self._origin, self._latest = False, _now(), 0.0
        self._begin(start.request)

    def _begin(self, request: Mapping[str, Any]) -> None:
        # As it was sent: a body may hold what only the encoder of requests knows.
        self._request = {"method": "POST", "body": msgspec.json.decode(encode_request(request))}
        try:
            self._path, self._writer = self._files.make(partial(self._open, request=self._request))
        except TapeError as error:
            log.warning("a stream is not recorded: %s", error)

    def connect(self, connected: Connected) -> None:
        self._connected = True
        self._write(lambda writer: writer.headers(connected.status, connected.headers, self._since(_now())))

    def read(self, read: Read) -> None:
        self._write(lambda writer: writer.read(read.data, self._since(read.at)))

    def retry(self, retry: Retry) -> None:
        """The attempt that failed has published nothing: the tape begins anew."""
        self._connected = False
        self._origin, self._latest = _now() + retry.delay, 0.0
        writer, path = self._writer, self._path
        if writer is None or path is None:
            return
        writer.close()
        request = {**self._request, "attempt": retry.attempt + 1}
        self._write(lambda _: self._begin_anew(path, request))

    def error(self, error: StreamError) -> None:
        self._error = error

    def end(self, completion: Completion) -> None:
        if self._start is None:
            log.warning("a stream is not recorded: it had started before TapeSink was given it")
            return
        at = self._since(self._start.at + (completion.timings.end or 0.0))
        error = self._error
        if isinstance(error, StatusError) and error.status is not None:
            status = error.status
            self._write(lambda writer: writer.headers(status, (), at))
        self._finish(_ending(completion, error), at)

    def _finish(self, ending: Ending, at: float) -> None:
        self._write(lambda writer: writer.end(ending, at))
        if self._writer is not None:
            self._writer.close()
            self._writer = None
        if self._path is not None:
            self._path = None
            self._files.release()

    def _begin_anew(self, path: Path, request: dict[str, Any]) -> None:
        self._writer = self._open(path, request=request, overwrite=True)

    def _write(self, write: Callable[[TapeWriter], None]) -> None:
        if self._writer is None:
            return
        try:
            write(self._writer)
        except TapeError as error:
            log.warning("a tape is not whole: %s", error)
            self._writer = None  # it has closed its file

    def _since(self, at: float) -> float:
        """Seconds since the request; never back, though a timer may have gone off within the resolution of the clock."""
        self._latest = max(self._latest, at - self._origin)
        return self._latest


def _now() -> float:
    return asyncio.get_running_loop().time()


def _ending(completion: Completion, error: StreamError | None) -> Ending:
    """How the exchange ended, which is not how the stream did: a server that gives up in the feed still ends it cleanly."""
    if isinstance(error, StreamTimeout) or "silent_after_finish" in completion.quirks:
        return "timeout"
    if isinstance(error, ConnectionFailed | ConnectionLost) or "cut_after_finish" in completion.quirks:
        return "reset"
    if completion.ended_by in {"done", "eof"} or isinstance(error, StatusError | TruncatedStream | EmptyStream):
        return "eof"
    return "cancelled"  # streamkit closed the connection: an abort, or enough of what came
