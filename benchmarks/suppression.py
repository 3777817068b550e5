"""Time non-maximum suppression alone, in the Python of heliodor or of topaz-em: `suppression.py PROGRAM MAP`.

Prints the seconds of the fastest of five runs, at an exclusion radius of 8 and Topaz's default threshold of -6.
"""

from __future__ import annotations

import sys
import time

import numpy as np


def main(program: str, path: str) -> None:
    """Time it on the float32 map in an MRC file, read without any library of the two."""
    if program == "heliodor":
        from heliodor import non_maximum_suppression as suppress
    else:
        from topaz.algorithms import non_maximum_suppression as suppress
    header = np.fromfile(path, dtype=np.int32, count=2)
    scores = np.fromfile(path, dtype=np.float32, offset=1024).reshape(header[1], header[0])
    times = []
    for _ in range(5):
        before = time.perf_counter()
        suppress(scores, 8, threshold=-6)
        times.append(time.perf_counter() - before)
    print(min(times))


if __name__ == "__main__":
    main(*sys.argv[1:])
