"""Coverage-guided fuzzing of everything that parses: ``python -m benchmarks fuzz``.

Each target of `fuzz_targets` runs in a process of its own under atheris (libFuzzer), with limits on the time of one input and on
memory: an exception that is not documented, a hang and growth without bound end it. Where atheris is not installed (it has wheels
for few platforms and versions of Python), the inputs are seeds that are mutated blindly instead, which finds less.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

__all__ = ["main", "mutated"]

ROOT = Path(__file__).resolve().parents[1]
NAMES = ("sse", "chat", "tape", "failure", "body")
INPUT_SECONDS = 5
MEMORY_MIB = 1_024
MAX_BYTES = 4_096


def main(argv: list[str]) -> int:
    """The command; returns 1 if a target failed. The input that broke it is left in a file, which is named."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks fuzz", description=__doc__)
    parser.add_argument("--seconds", type=int, default=60, help="for each target; default %(default)s")
    parser.add_argument("--target", choices=NAMES, action="append", help="only this one; may be given several times")
    parser.add_argument(
        "--corpus", type=Path, help="a folder that keeps what was found worth trying, for the next time"
    )
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(argv)
    targets = options.target or list(NAMES)
    if options.in_this_process:
        _fuzz(targets[0], options.seconds, options.corpus)
        return 0
    failed = []
    with tempfile.TemporaryDirectory() as scratch:
        for target in targets:
            corpus = (options.corpus or Path(scratch)) / target
            corpus.mkdir(parents=True, exist_ok=True)
            command = [sys.executable, "-m", "benchmarks", "fuzz", "--in-this-process", "--target", target]
            command += ["--seconds", str(options.seconds), "--corpus", str(corpus)]
            print(f"== {target}, {options.seconds} s", flush=True)
            if subprocess.run(command, cwd=ROOT, check=False).returncode:
                failed.append(target)
    print(f"failed: {', '.join(failed)}" if failed else f"nothing found in {', '.join(targets)}")
    return 1 if failed else 0


def _fuzz(name: str, seconds: int, corpus: Path) -> None:
    if importlib.util.find_spec("atheris") is None:
        _blindly(name, seconds)
    else:
        _guided(name, seconds, corpus)


def _guided(name: str, seconds: int, corpus: Path) -> None:
    atheris: Any = importlib.import_module("atheris")
    with atheris.instrument_imports(include=["streamkit"]):
        targets = importlib.import_module("benchmarks.fuzz_targets")
    for number, seed in enumerate(targets.SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    with tempfile.NamedTemporaryFile("w", suffix=".dict", delete=False) as words:
        for fragment in targets.FRAGMENTS:
            words.write('"' + "".join(f"\\x{byte:02x}" for byte in fragment) + '"\n')
    crash = Path(tempfile.gettempdir()) / f"streamkit-fuzz-{name}-"
    limits = [f"-max_total_time={seconds}", f"-timeout={INPUT_SECONDS}", f"-rss_limit_mb={MEMORY_MIB}"]
    options = [f"-max_len={MAX_BYTES}", f"-dict={words.name}", f"-artifact_prefix={crash}", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *limits, *options, str(corpus)], targets.TARGETS[name])
    atheris.Fuzz()  # exits the process


def _blindly(name: str, seconds: int) -> None:
    targets = importlib.import_module("benchmarks.fuzz_targets")
    rng, target, until, count = random.Random(), targets.TARGETS[name], time.monotonic() + seconds, 0
    while time.monotonic() < until:
        data = mutated(rng, targets.SEEDS[name], targets.FRAGMENTS)
        began = time.monotonic()
        try:
            target(data)
        except Exception:
            print(f"{name} broke on {data!r}", file=sys.stderr)
            raise
        if time.monotonic() - began > INPUT_SECONDS:
            raise TimeoutError(f"{name} took {time.monotonic() - began:.0f} s for {data!r}")
        count += 1
    print(f"{count:,} inputs (without atheris, so blindly)")


def mutated(rng: random.Random, seeds: tuple[bytes, ...], fragments: tuple[bytes, ...]) -> bytes:
    """A seed with some of it deleted, repeated, replaced or thrown in.

    >>> len(mutated(random.Random(1), (b"data: x",), (b"id: ",))) > 0
    True
    """
    data = bytearray(rng.choice(seeds))
    for _ in range(rng.choice((1, 2, 5, 20))):
        start = rng.randrange(len(data) + 1)
        end = min(len(data), start + rng.choice((0, 1, 3, 10)))
        new = rng.choice((rng.choice(fragments), bytes(data[end : end + 9]), rng.randbytes(rng.choice((0, 1, 3)))))
        data[start:end] = new
    return bytes(data[:MAX_BYTES])
