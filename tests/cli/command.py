"""The command in a process of its own: with pipes, or on a terminal."""

from __future__ import annotations

import asyncio
import fcntl
import os
import struct
import sys
import termios
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.conftest import COVERAGE, REPO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COMMAND = (sys.executable, "-m", "streamkit.cli")

#: Makes standard input the terminal of this process, which ^C typed into it then reaches, and becomes the command.
ON_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)


@dataclass(frozen=True)
class Outcome:
    """How the command ended, and what it said where."""

    status: int
    out: str
    err: str

    @property
    def sentence(self) -> str:
        """The one line on standard error."""
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, self.err
        return self.err.rstrip("\n")


def environment(base_url: str | None, env: dict[str, str] | None) -> dict[str, str]:
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("OPENAI_") and name not in {"NO_COLOR", "COLUMNS", "PYTHONASYNCIODEBUG"}
    }
    clean |= {"PYTHONPATH": str(REPO), "PYTHONIOENCODING": "utf-8", "TERM": "xterm"}
    return clean | COVERAGE | ({} if base_url is None else {"OPENAI_BASE_URL": base_url}) | (env or {})


async def run(
    *arguments: str, base_url: str | None = None, env: dict[str, str] | None = None, stdin: bytes = b""
) -> Outcome:
    """Run the command with pipes for everything."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *arguments, env=environment(base_url, env), stdin=pipe, stdout=pipe, stderr=pipe
    )
    try:
        out, err = await process.communicate(stdin)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode is not None
    return Outcome(process.returncode, out.decode(), err.decode())


class Terminal:
    """The near end of a terminal of 80 columns: what is typed, and what is shown."""

    def __init__(self, fd: int, process: asyncio.subprocess.Process) -> None:
        self._fd = fd
        self.process = process
        self._data = b""
        self._seen = 0
        self._more = asyncio.Event()
        asyncio.get_running_loop().add_reader(fd, self._read)

    @property
    def shown(self) -> str:
        """All that was written, with the line ends of the program."""
        return self._data.decode().replace("\r\n", "\n")

    async def until(self, text: str) -> None:
        """Wait until the text was shown, after what was waited for before."""
        while (place := self.shown.find(text, self._seen)) < 0:
            assert self.process.returncode is None, f"{text!r} was not shown:\n{self.shown}"
            self._more.clear()
            await self._more.wait()
        self._seen = place + len(text)

    def type(self, keys: str) -> None:
        os.write(self._fd, keys.encode())

    async def status(self) -> int:
        """Wait for the end of the command."""
        status = await self.process.wait()
        self._read()
        return status

    def _read(self) -> None:
        try:
            while data := os.read(self._fd, 2**16):
                self._data += data
                self._more.set()
        except BlockingIOError:
            return
        except OSError:  # EIO: the last process has left the terminal
            pass
        asyncio.get_running_loop().remove_reader(self._fd)
        self._more.set()


@asynccontextmanager
async def terminal(
    *arguments: str, base_url: str | None = None, env: dict[str, str] | None = None, out: int | None = None
) -> AsyncIterator[Terminal]:
    """Run the command on a terminal; its standard output may go elsewhere (`out`)."""
    near, far = os.openpty()
    os.set_blocking(near, False)
    fcntl.ioctl(far, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", ON_TERMINAL, *COMMAND, *arguments,
        env=environment(base_url, env), stdin=far, stdout=out or far, stderr=far, start_new_session=True,
    )  # fmt: skip
    os.close(far)
    try:
        yield Terminal(near, process)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        asyncio.get_running_loop().remove_reader(near)
        os.close(near)
