"""A file of lines to which several processes append."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

try:
    import fcntl
except ImportError:  # Windows, where an open file cannot be moved away either
    fcntl = None  # type: ignore[assignment]  # no such module there

__all__ = ["Appender"]

_FLAGS: Final = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_APPEND
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
    # A pipe that nobody reads must be an error: a write that waits would hold up the loop, and every stream on it.
    | getattr(os, "O_NONBLOCK", 0)
)


class Appender:
    """Appends lines, each in one write, and opens the file anew for each: nothing to close, and it may be moved away.

    Args:
        path: the file; made with mode 0600.
        max_bytes, backups: see `TranscriptSink`.

    Raises:
        OSError: it cannot be written to; the message names it and says what to do.
    """

    def __init__(self, path: str | os.PathLike[str], *, max_bytes: int | None = None, backups: int = 3) -> None:
        if max_bytes is not None and (type(max_bytes) is not int or max_bytes < 1):
            raise ValueError(f"max_bytes must be a whole number of bytes, or None, not {max_bytes!r}")
        if max_bytes is not None and fcntl is None:
            raise ValueError("this system cannot move a file that is open: leave max_bytes out")
        if type(backups) is not int or backups < 1:
            raise ValueError(f"backups must be a whole number, 1 or more, not {backups!r}")
        self.path = os.path.abspath(os.fspath(path))  # noqa: PTH100 - Path.absolute keeps "..", and os.chdir may come
        self._max_bytes = max_bytes
        self._backups = backups
        os.close(self._open())

    def append(self, line: bytes) -> None:
        """Write a line. Raises OSError, with nothing of the line left behind."""
        descriptor = self._open()
        try:
            if self._max_bytes is not None:
                size = os.fstat(descriptor).st_size
                if size and size + len(line) > self._max_bytes and self._rotate(descriptor):
                    os.close(descriptor)
                    descriptor = self._open()
            self._write(descriptor, line)
        finally:
            os.close(descriptor)

    def _open(self) -> int:
        try:
            return os.open(self.path, _FLAGS, 0o600)
        except FileNotFoundError as error:
            raise _named(error, f"cannot make {self.path}: its folder does not exist; make it first") from None
        except OSError as error:
            raise _named(error, f"cannot write {self.path}: {error.strerror}; choose another place") from None

    def _write(self, descriptor: int, line: bytes) -> None:
        try:
            written = os.write(descriptor, line)
        except OSError as error:
            raise _named(error, f"cannot write {self.path}: {error.strerror}") from None
        if written == len(line):
            return
        # The disk is full, or a limit is reached. What got in is taken out again, if nobody has appended since.
        with suppress(OSError):
            end = os.lseek(descriptor, 0, os.SEEK_CUR)
            if os.fstat(descriptor).st_size == end:
                os.ftruncate(descriptor, end - written)
        raise OSError(f"cannot write {self.path}: only {written} of {len(line)} bytes were taken; is the disk full?")

    def _rotate(self, descriptor: int) -> bool:
        """Move the file away, and the older ones with it; False if that is being done, or has been, by another process."""
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return False
        assert fcntl is not None  # the constructor saw to it
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)  # let go of when the descriptor is closed
        except OSError:
            return False  # this line makes the file a little larger than it should be
        path = Path(self.path)
        try:
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                return True  # it has been moved already
            for number in range(self._backups - 1, 0, -1):
                with suppress(FileNotFoundError):
                    Path(f"{path}.{number}").replace(f"{path}.{number + 1}")
            path.replace(f"{path}.1")
        except OSError:
            return False  # rather a file that is too large than a line that is lost
        return True


def _named(error: OSError, message: str) -> OSError:
    """The same kind of error, with a message that says which file and what to do."""
    named = type(error)(message)
    named.errno = error.errno
    return named
