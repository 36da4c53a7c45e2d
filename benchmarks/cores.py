"""What a process of a load test needs from its system: a core of its own, and many sockets."""

from __future__ import annotations

import os
import sys
from pathlib import Path

__all__ = ["allow_many_connections", "stay_on", "two_cores", "waited_for_a_core"]


def two_cores() -> tuple[int, int] | None:
    """A core for the reader and one for the server; None where there is but one, or where processes cannot be told."""
    if sys.platform != "linux":
        return None
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


def stay_on(core: int | None = None) -> None:
    """Keep this process on a core; on any for None."""
    if core is not None and sys.platform == "linux":
        os.sched_setaffinity(0, {core})


def allow_many_connections() -> None:
    """Raise the limit of open files, mostly 1,024, as far as it may be raised."""
    if sys.platform != "win32":
        import resource

        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def waited_for_a_core() -> float:
    """Seconds for which this process could have run and another one did; 0 where the system does not say.

    The second number of /proc/self/schedstat (Documentation/scheduler/sched-stats.rst in Linux).
    """
    try:
        return int(Path("/proc/self/schedstat").read_text(encoding="ascii").split()[1]) / 1e9
    except (OSError, IndexError):
        return 0.0
