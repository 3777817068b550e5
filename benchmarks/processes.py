"""Whole processes, whose wall time, processor time and peak memory are measured."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Step:
    """One process that ran: its command line without this machine's paths, and what it cost."""

    name: str
    command: str
    wall_s: float
    cpu_s: float
    peak_rss_mb: float


def measure(
    name: str,
    command: Sequence[str],
    folder: Path,
    threads: int,
    *,
    printable: str = "",
    variables: Mapping[str, str] | None = None,
) -> Step:
    """Run one process in `folder`, its numerical libraries on so many threads; its output goes to `name.log` there.

    Raises
    ------
    RuntimeError
        The process fails.
    """
    limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(threads))
    log = folder / f"{name}.log"
    before = time.perf_counter()
    with log.open("w") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            stdout=stream,
            stderr=subprocess.STDOUT,
            env={**os.environ, **limits, **(variables or {})},
        )
        _, status, usage = os.wait4(process.pid, 0)
    wall = time.perf_counter() - before
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"exit code {process.returncode}, see {log}: {' '.join(command)}")
    per_mb = 2**20 if sys.platform == "darwin" else 2**10  # ru_maxrss: bytes on macOS, kilobytes elsewhere
    seconds = usage.ru_utime + usage.ru_stime
    return Step(name, printable, round(wall, 3), round(seconds, 3), round(usage.ru_maxrss / per_mb, 1))
