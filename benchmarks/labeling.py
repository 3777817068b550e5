"""How long the labelling page's server takes, and how much memory: what a browser asks for, asked without a browser.

python benchmarks/labeling.py MICROGRAPHS... [--level 2]

Starts `heliodor label`, asks for the page and for four tiles of the first micrographs at a level, and prints wall and
processor seconds and the server's memory. Linux only: it reads /proc.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

LOOK = "lowpass=20&low=1&high=99"
TILES = ("0/0", "0/1", "1/0", "1/1")


class Measured:
    """A server, its address, and what it has used."""

    def __init__(self, micrographs: list[str], folder: str) -> None:
        command = [sys.executable, "-m", "heliodor", "label", *micrographs, "--labels", f"{folder}/labels.txt"]
        self.started = time.perf_counter()
        self.process = subprocess.Popen([*command, "--port", "0"], stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.address = next(line.strip() for line in self.process.stdout if line.strip().startswith("http://"))

    def get(self, path: str) -> bytes:
        """Ask for a path after the token."""
        with urllib.request.urlopen(self.address + path) as response:
            content: bytes = response.read()
        return content

    def show(self, index: int, level: int) -> None:
        """Ask for what a browser asks for when a micrograph is opened, the tiles at the same time."""
        self.get(f"api/micrograph/{index}")
        with ThreadPoolExecutor(len(TILES)) as pool:
            list(pool.map(lambda tile: self.get(f"tile/{index}/{level}/{tile}?{LOOK}"), TILES))

    @property
    def cpu(self) -> float:
        """Processor seconds so far."""
        words = Path(f"/proc/{self.process.pid}/stat").read_text().split()
        return (int(words[13]) + int(words[14])) / os.sysconf("SC_CLK_TCK")

    def memory(self, name: str) -> float:
        """Megabytes, as /proc names them: RssAnon now, VmHWM at most (with mapped files)."""
        lines = Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return int(next(line.split()[1] for line in lines if line.startswith(name))) / 1024


def main() -> None:
    """Measure, and print a line for each micrograph."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("micrographs", nargs="+")
    parser.add_argument("--level", type=int, default=2, help="0: full size, 1: half...; four tiles must exist")
    parser.add_argument("--count", type=int, default=10, help="micrographs to open")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Measured(options.micrographs, folder)
        try:
            server.get("")
            server.get("api/session")
            server.show(0, options.level)
            print(
                f"first micrograph {time.perf_counter() - server.started:.2f} s after the start, cpu {server.cpu:.2f} s"
            )
            for index in range(1, options.count):
                begun, cpu = time.perf_counter(), server.cpu
                server.show(index, options.level)
                print(f"micrograph {index + 1}: {time.perf_counter() - begun:.2f} s, cpu {server.cpu - cpu:.2f} s")
            print(
                f"memory {server.memory('RssAnon'):.0f} MB, at most {server.memory('VmHWM'):.0f} MB with mapped files"
            )
        finally:
            server.process.terminate()
            server.process.wait()


if __name__ == "__main__":
    main()
