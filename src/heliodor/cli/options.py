"""What several commands do with their options."""

from __future__ import annotations

import os


def set_threads(threads: int) -> None:
    """Use this many processor threads for networks; 0 or less: as many as processors are idle now.

    Threads that wait for one another cost far more than they bring where other programs keep the
    processors busy: on two cores, three such programs ran fifty times slower, not three times.
    """
    import torch

    if threads < 1:
        free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        busy = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
        threads = max(1, min(torch.get_num_threads(), free - round(busy)))
    torch.set_num_threads(threads)
