"""What the machine allows, and where the time of heliodor goes: `limits.py FOLDER THREADS` prints JSON."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import numpy as np
import scipy.fft

T = TypeVar("T")


def main(folder: str, threads: str) -> None:
    """Measure limits, then stages, in seconds for one micrograph unless the name says otherwise."""
    frames = sorted(Path(folder, "frames").glob("*.mrc"))
    found = {**_machine(), "read_and_fft_s": _least(frames, int(threads)), **_preprocess(frames[0])}
    print(json.dumps({**found, **_extract(sorted(Path(folder, "small512").glob("*.mrc"))[0], int(threads))}, indent=1))


def _best(work: Callable[[], T], times: int = 3) -> tuple[float, T]:
    seconds = []
    for _ in range(times):
        before = time.perf_counter()
        result = work()
        seconds.append(time.perf_counter() - before)
    return min(seconds), result


def _machine() -> dict[str, float]:
    """Memory bandwidth (bytes read and written by a copy) and float32 matrix product, by numpy on its threads."""
    a, b = np.ones(2**26, dtype=np.float32), np.empty(2**26, dtype=np.float32)
    square = np.ones((2048, 2048), dtype=np.float32)
    copied, multiplied = _best(lambda: np.copyto(b, a), 5)[0], _best(lambda: square @ square, 5)[0]
    return {"copy_gb_per_s": 2 * a.nbytes / copied / 1e9, "product_gflops": 2 * 2048**3 / multiplied / 1e9}


def _least(frames: list[Path], threads: int) -> float:
    """Read all files and take one pruned real FFT of each: what preprocess to 512 x 512 cannot do without."""

    def work(path: Path) -> None:
        pixels = np.fromfile(path, dtype=np.uint16, offset=1024).reshape(4096, 4096).astype(np.float32)
        scipy.fft.fft(scipy.fft.rfft(pixels, axis=1)[:, :257], axis=0)

    with ThreadPoolExecutor(threads) as pool:
        return _best(lambda: list(pool.map(work, frames)), 2)[0]


def _preprocess(path: Path) -> dict[str, float]:
    from heliodor import downsample, normalize, read_micrograph

    read, micrograph = _best(lambda: read_micrograph(path))
    crop, (small, _) = _best(lambda: downsample(micrograph.pixels, 8))
    return {"read_s": read, "downsample_s": crop, "normalize_s": _best(lambda: normalize(small))[0]}


def _extract(path: Path, threads: int) -> dict[str, float]:
    from heliodor import non_maximum_suppression, read_micrograph, refine, score_map
    from heliodor.networks.scorers import scorers_of_model

    scorers_of_model("resnet8_u32", "cpu", threads=threads)  # compiled, where it is not yet
    load, ((scorer,), _) = _best(lambda: scorers_of_model("resnet8_u32", "cpu", threads=threads))
    pixels = read_micrograph(path).pixels
    score, scores = _best(lambda: score_map(scorer, pixels))
    suppress, (xy, _) = _best(lambda: non_maximum_suppression(scores, 8, -6))
    return {
        "load_model_s": load,
        "score_s": score,
        "suppress_s": suppress,
        "refine_s": _best(lambda: refine(scores, xy, 8 / 3))[0],
        "picks": float(len(xy)),
    }


if __name__ == "__main__":
    main(*sys.argv[1:])
