"""Where the tapes of a `TapeSink` go: one file, the numbers of a name, or a folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from ..errors import TapeError

if TYPE_CHECKING:
    from ..tape import TapeWriter

__all__ = ["TapeFiles"]

_IN_A_FOLDER: Final = "{n:06}.sse.jsonl"
_SEPARATORS: Final = tuple(filter(None, (os.sep, os.altsep)))


class _Open(Protocol):
    def __call__(self, path: Path, *, overwrite: bool) -> TapeWriter: ...


class TapeFiles:
    """Finds a name for each tape, and makes its file. The arguments are those of `TapeSink`."""

    def __init__(self, path: str | os.PathLike[str], *, overwrite: bool = False) -> None:
        self._path = Path(path)
        self._is_folder = os.fspath(path).endswith(_SEPARATORS)
        if not self._is_folder:
            _numbered(self._path, 1)  # raises where it cannot
        self._overwrite = overwrite
        self._last = 0
        """The last number that was given out."""
        self._busy = False
        """The one file, where there is only one, is being written."""

    def __repr__(self) -> str:
        return f"<TapeFiles {os.fspath(self._path)!r}>"

    def check(self) -> None:
        """Raise TapeError for what would keep the next file from being made, as far as it shows beforehand."""
        template = self._template()
        folder = template.parent
        if not folder.is_dir():
            raise TapeError(f"cannot make {template}: its folder does not exist; make it first")
        if (path := _only(template)) is None:
            writable = folder
        else:
            self._check_idle(path)
            writable = path if path.exists() else folder
            if writable is path and not self._overwrite:
                raise TapeError(f"{path} exists; choose another name, or put {{n}} into it")
        if not os.access(writable, os.W_OK):
            raise TapeError(f"cannot make {template}: {writable} cannot be written; choose another place")

    def make(self, open_tape: _Open) -> tuple[Path, TapeWriter]:
        """Open the next file with `open_tape`; raises what it raises."""
        template = self._template()
        if (path := _only(template)) is not None:
            self._check_idle(path)
            writer = open_tape(path, overwrite=self._overwrite)
            self._busy = True
            return path, writer
        while True:
            self._last = _next_free(template, self._last)
            path = _numbered(template, self._last)
            try:
                return path, open_tape(path, overwrite=False)
            except TapeError as error:
                if not isinstance(error.__cause__, FileExistsError):  # another process may have been faster
                    raise

    def release(self) -> None:
        """A file that `make` opened is closed."""
        self._busy = False

    def _template(self) -> Path:
        return self._path / _IN_A_FOLDER if self._is_folder or self._path.is_dir() else self._path

    def _check_idle(self, path: Path) -> None:
        if self._busy:
            raise TapeError(f"cannot make {path}: another stream is being recorded there; put {{n}} into the name")


def _numbered(template: Path, number: int) -> Path:
    try:
        return template.with_name(template.name.format(n=number))
    except (LookupError, AttributeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{os.fspath(template)!r} is no name for tapes: {{n}} stands for the number, as in tape-{{n:04}}.sse.jsonl, "
            "and {{ for a brace"
        ) from error


def _only(template: Path) -> Path | None:
    """The path, where it is the same for every number."""
    path = _numbered(template, 1)
    return path if path == _numbered(template, 2) else None


def _next_free(template: Path, last: int) -> int:
    """The number after a taken one, found in few steps where a hundred thousand are taken."""
    step = 1
    while _numbered(template, last + step).exists():
        last += step
        step *= 2
    while step > 1:
        step //= 2
        if _numbered(template, last + step).exists():
            last += step
    return last + 1
