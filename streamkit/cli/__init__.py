"""The command `streamkit`: what a person needs before writing code.

The answer goes to standard output and nothing else does; reasoning, warnings, figures and errors go to standard error.
Exit status: 0; 1 if the stream failed; 2 for a command that makes no sense; 130 after ^C; 141 if the reader of the
output has gone.
"""

from __future__ import annotations

import argparse
import io
import math
import os
import sys
from typing import TYPE_CHECKING

from ..errors import StreamkitError
from ..version import __version__
from .chat import run_chat
from .console import Console, UsageError
from .demo import run_demo

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

_ENVIRONMENT = """\
environment:
  OPENAI_BASE_URL   the server, as in http://localhost:8000/v1
  OPENAI_API_KEY    its key, if it asks for one; read from here only, because
                    anyone on this machine can read the arguments of a command
  OPENAI_MODEL      the model, unless --model names one
  NO_COLOR          if set, no colours
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status.

    Args:
        arguments: without the program's name; those of the process by default.

    Raises:
        SystemExit: after `--help` and `--version`, and with status 2 for arguments that make no sense.
    """
    for output in (sys.stdout, sys.stderr):
        if isinstance(output, io.TextIOWrapper):
            output.reconfigure(errors="replace")  # a terminal without emoji is no reason to stop
    options = _parser().parse_args(arguments)
    console = Console()
    try:
        run: Callable[[argparse.Namespace, Console], None] = options.run
        run(options, console)
    except KeyboardInterrupt:
        console.note("interrupted; the answer is not whole" if console.said_something else "interrupted")
        return 130
    except BrokenPipeError:
        # `| head` has seen enough. What is still buffered would fail again when the interpreter flushes it.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    except UsageError as error:
        console.note(f"streamkit: {error}")
        return 2
    except StreamkitError as error:
        console.note(f"streamkit: {error}")
        return 1
    except OSError as error:
        console.note(f"streamkit: reading or writing failed: {error.strerror or error}")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="streamkit", description="Streams completions of OpenAI-compatible servers.", allow_abbrev=False
    )
    parser.add_argument("--version", action="version", version=f"streamkit {__version__}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)

    demo = commands.add_parser(
        "demo",
        help="play a recorded completion; needs no server and no key",
        description="Plays a recorded completion over loopback HTTP, at its recorded pace, and prints it as it comes.",
        allow_abbrev=False,
    )
    demo.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="2 is twice as fast, 0 at once (default: 1)"
    )
    demo.add_argument("--tape", metavar="FILE", help="a tape to play instead of the one that streamkit ships")
    demo.set_defaults(run=run_demo)

    chat = commands.add_parser(
        "chat",
        help="ask a server, and print the answer as it comes",
        description="Prints the answer to a prompt as it comes.\n"
        "Without a prompt, on a terminal, it is a conversation, which ^D ends.",
        epilog=_ENVIRONMENT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    chat.add_argument("prompt", nargs="*", help="the prompt; `-`, or none where the input is piped: read it from there")
    chat.add_argument("--base-url", metavar="URL", help="the server, instead of OPENAI_BASE_URL")
    chat.add_argument("--model", help="the model, instead of OPENAI_MODEL")
    chat.add_argument("--system", metavar="TEXT", help="a system message to begin with")
    chat.add_argument("--temperature", type=_number, metavar="X", help="as the API takes it")
    chat.add_argument("--max-tokens", type=int, metavar="N", help="as the API takes it")
    chat.add_argument("-v", "--verbose", action="store_true", help="show the events, on standard error")
    chat.set_defaults(run=run_chat)
    return parser


def _speed(text: str) -> float:
    speed = _number(text)
    if speed < 0:
        raise argparse.ArgumentTypeError(f"{text} is below 0; 1 is the recorded pace, 0 is at once")
    return speed


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return number
