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
from .cast import run_cast
from .chat import run_chat
from .console import Console, UsageError
from .demo import run_demo
from .inspect import run_inspect
from .record import run_record
from .replay import run_replay

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
    chat.add_argument(
        "--record",
        metavar="FILE",
        help="a tape to make of it, which must not exist; {n} in its name is the next free number",
    )
    chat.add_argument("-v", "--verbose", action="store_true", help="show the events, on standard error")
    sinks = chat.add_argument_group("monitoring", "Prompts and answers are in the transcript, and in nothing else.")
    sinks.add_argument(
        "--log", metavar="FILE", help="add a line at the start and the end of each answer; -v: each chunk"
    )
    sinks.add_argument("--transcript", metavar="FILE", help="add each request and answer to it, as a line of JSON")
    sinks.add_argument("--stats", action="store_true", help="show all figures of each answer, on standard error")
    sinks.add_argument("--prometheus", type=_port, metavar="PORT", help="serve metrics on loopback; 0: on a free port")
    sinks.add_argument("--otel", action="store_true", help="send traces and metrics to OTEL_EXPORTER_OTLP_ENDPOINT")
    chat.set_defaults(run=run_chat)

    record = commands.add_parser(
        "record",
        help="chat, and make a tape of it",
        usage="streamkit record [-h] FILE [--] [arguments of chat ...]",
        description="Does what `streamkit chat` does, and records every byte of the answer with its time.",
        epilog="A tape holds the prompt and the answer, and no key. See also: replay, inspect, cast.",
        allow_abbrev=False,
    )
    record.add_argument("file", metavar="FILE", help="the tape; as chat's --record")
    record.add_argument("arguments", nargs=argparse.REMAINDER, metavar="...", help="see `streamkit chat --help`")
    record.set_defaults(run=run_record, parse=parser.parse_args)

    replay = commands.add_parser(
        "replay",
        help="play a tape, to the terminal or as a server",
        description="Prints the answer of a tape as it came; with --serve, is a server that answers every request with "
        "it, at the same pace and with the same boundaries between reads.",
        allow_abbrev=False,
    )
    replay.add_argument("tape", metavar="TAPE", help="a file that record has made")
    replay.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="2 is twice as fast, 0 at once (default: 1)"
    )
    replay.add_argument("--serve", action="store_true", help="print a base URL, and answer requests there until ^C")
    replay.add_argument("--port", type=_port, metavar="N", help="with --serve: the port, instead of a free one")
    replay.set_defaults(run=run_replay)

    serve = commands.add_parser(
        "serve",
        help="relay a server to browsers and OpenAI clients",
        description="Serves a page to chat in, and an API for OpenAI clients, before an OpenAI-\n"
        "compatible server whose key stays here. Without a server and a key, it serves a\n"
        "recorded answer.",
        epilog=_ENVIRONMENT
        + """\
  STREAMKIT_TOKEN   the tokens, instead of --token

""",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    serve.add_argument(
        "--host", default="127.0.0.1", metavar="ADDRESS", help="to listen on (default: 127.0.0.1, this machine only)"
    )
    serve.add_argument("--port", type=_port, default=8000, metavar="N", help="0: a free one (default: 8000)")
    serve.add_argument("--base-url", metavar="URL", help="the server to relay, instead of OPENAI_BASE_URL")
    serve.add_argument(
        "--model",
        action="append",
        help="a model that clients may ask for, instead of OPENAI_MODEL; several: the first is the default",
    )
    serve.add_argument("--tape", metavar="FILE", help="relay a recorded answer instead of a server")
    serve.add_argument(
        "--speed", type=_speed, default=1.0, metavar="X", help="of a recorded answer: 2 is twice as fast, 0 at once"
    )
    serve.add_argument(
        "--cors",
        action="append",
        metavar="ORIGIN",
        help="let pages of this origin use it, as in https://chat.example; may be given several times",
    )
    serve.add_argument(
        "--token",
        action="append",
        help="ask clients for it (Authorization: Bearer TOKEN); several: each is a user of its own",
    )
    serve.set_defaults(run=_run_serve)

    inspect = commands.add_parser(
        "inspect",
        help="show what a tape holds, and what came when",
        description="Shows what a tape holds: how it ended, usage, quirks, gaps, and what came when.",
        allow_abbrev=False,
    )
    inspect.add_argument("tape", metavar="TAPE", help="a file that record has made")
    inspect.add_argument("--json", action="store_true", help="the figures as a JSON object")
    inspect.add_argument(
        "--svg", metavar="FILE", help="also draw the timeline into a new file; `-`: only that, as output"
    )
    inspect.set_defaults(run=run_inspect)

    cast = commands.add_parser(
        "cast",
        help="turn a tape into an asciicast, for terminal players",
        description="Writes an asciicast (v2) of a terminal that shows the answer of a tape as it came.",
        allow_abbrev=False,
    )
    cast.add_argument("tape", metavar="TAPE", help="a file that record has made")
    cast.add_argument("out", metavar="OUT", help="a new file, as in answer.cast; `-`: standard output")
    cast.add_argument("--width", type=_columns, default=80, metavar="N", help="columns of the terminal (default: 80)")
    cast.set_defaults(run=run_cast)
    return parser


def _run_serve(options: argparse.Namespace, console: Console) -> None:
    from .serve import run_serve  # aiohttp's server is not for those who only chat

    run_serve(options, console)


def _port(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) < 2**16):
        raise argparse.ArgumentTypeError(f"{text!r} is no port, 0 to 65535")
    return int(text)


def _columns(text: str) -> int:
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 6 and int(text) > 0):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of columns, 1 or more")
    return int(text)


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
