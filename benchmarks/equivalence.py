"""Run topaz-em and heliodor's command of that name on the same inputs, and write the differences into docs/topaz.md.

    python benchmarks/equivalence.py --topaz /path/to/topaz-em/bin/topaz --weights /path/to/topaz/pretrained

Inputs are the example's micrographs. Weights are Topaz's own (resnet8_u32), used by both.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import mrcfile
import numpy as np

from heliodor.evaluation import match
from heliodor.formats import read_picks

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "apoferritin"
PAGE = ROOT / "docs" / "topaz.md"
START, END = "<!-- written by benchmarks/equivalence.py -->\n", "<!-- end -->"
MODEL, FACTOR, RADIUS = "resnet8_u32", 4, 5


@dataclass(frozen=True)
class Program:
    """A `topaz` to run, in a folder of its own."""

    words: list[str]
    folder: Path
    variables: dict[str, str]

    def __call__(self, line: str) -> str:
        """Run a command line; return what it prints."""
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **self.variables}
        found = subprocess.run(
            [*self.words, *line.split()], cwd=self.folder, env=environment, capture_output=True, text=True
        )
        if found.returncode:
            raise RuntimeError(f"{line}: exit code {found.returncode}\n{found.stderr[-2000:]}")
        return found.stdout


def main() -> None:
    """Run both, and write the table."""
    options = arguments()
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        (base / "one").mkdir()
        (base / "two").mkdir()
        for place in (base / "one", base / "two"):
            (place / "raw").symlink_to(EXAMPLE)
        variables = {"HELIODOR_TOPAZ_WEIGHTS": str(options.weights)}
        theirs = Program([str(options.topaz)], base / "one", {})
        ours = Program([sys.executable, "-m", "heliodor.cli.topaz"], base / "two", variables)
        version = theirs("--version").strip()
        lines = [f"topaz-em {version} and heliodor on the 8 micrographs of the example, {MODEL} for both.", ""]
        lines += ["| step | compared | result | why they differ |", "|---|---|---|---|"]
        for row in rows(theirs, ours):
            lines.append("| " + " | ".join(row) + " |")
            sys.stdout.write(lines[-1] + "\n")
            sys.stdout.flush()
    text = PAGE.read_text(encoding="utf-8")
    start, end = text.index(START) + len(START), text.index(END)
    PAGE.write_text(text[:start] + "\n" + "\n".join(lines) + "\n\n" + text[end:], encoding="utf-8")


def rows(theirs: Program, ours: Program) -> Iterator[tuple[str, str, str, str]]:
    """Yield the rows of the table, one step of the work after the other."""
    yield from preprocessing(theirs, ours)
    yield from extraction(theirs, ours)
    yield from coordinates(theirs, ours)
    yield from evaluation(theirs, ours)


def preprocessing(theirs: Program, ours: Program) -> Iterator[tuple[str, str, str, str]]:
    """Compare downsampled, normalized pixels."""
    for name, flag in (("mean and sd", " --affine"), ("mixture", " --sample 1")):
        paths = " ".join(f"raw/{p.name}" for p in sorted(EXAMPLE.glob("*.mrc")))
        for program in (theirs, ours):
            program(f"preprocess -s {FACTOR}{flag} -o small {paths}")
        pairs = [
            (mrcfile.read(theirs.folder / "small" / p.name), mrcfile.read(ours.folder / "small" / p.name))
            for p in sorted(EXAMPLE.glob("*.mrc"))
        ]
        correlation = min(float(np.corrcoef(a.ravel(), b.ravel())[0, 1]) for a, b in pairs)
        mean = max(abs(float(a.mean()) - float(b.mean())) for a, b in pairs)
        ratio = max(abs(float(a.std()) / float(b.std()) - 1) for a, b in pairs)
        why = "the Nyquist row and column"
        if "sample" in flag:
            why += "; Topaz's bonus of 893 nats for one Gaussian (a prior that is not a logarithm)"
        result = f"correlation {correlation:.5f} or more; mean differs by {mean:.4f}, sd by {100 * ratio:.2f} % at most"
        yield f"preprocess, {name}", "pixels", result, why


def extraction(theirs: Program, ours: Program) -> Iterator[tuple[str, str, str, str]]:
    """Compare picks on the same preprocessed micrographs, by the same weights."""
    small = theirs.folder / "small"
    for program in (theirs, ours):
        paths = " ".join(str(path) for path in sorted(small.glob("*.mrc")))
        program(f"extract -m {MODEL} -r {RADIUS} -t -3 -x {FACTOR} -d -1 -o picks.txt {paths}")
    one, two = (read_picks(program.folder / "picks.txt") for program in (theirs, ours))
    pairs, worst = 0, 0.0
    for name in one.micrographs():
        a, b = one.of(name), two.of(name)
        found = match(a.xy, a.scores, b.xy, 0.5)
        pairs += int(found.hit.sum())
        worst = max(worst, float(np.abs(a.scores[found.hit] - b.scores[found.label[found.hit]]).max(initial=0)))
    result = f"{pairs} of {len(one)} and {len(two)} picks at the same pixel; scores differ by {worst:.1e} at most"
    yield (
        "extract, same weights",
        "picks and scores",
        result,
        "" if pairs == len(one) == len(two) else "rounding of ties",
    )


def coordinates(theirs: Program, ours: Program) -> Iterator[tuple[str, str, str, str]]:
    """Compare converted and split files."""
    for program in (theirs, ours):
        program(f"convert -s {FACTOR} -o labels.txt raw/labels.txt")
        program("convert --to star -o labels.star labels.txt")
        for folder in ("boxes", "parts"):  # Topaz does not make them
            (program.folder / folder).mkdir(exist_ok=True)
        program("convert --boxsize 10 -o boxes/ labels.txt")
        program("split labels.txt -o parts")
    for what, path in (("scaled", "labels.txt"), ("STAR", "labels.star"), ("boxes", "boxes"), ("split", "parts")):
        one, two = (sorted(table(program.folder / path)) for program in (theirs, ours))
        same = sum(a == b for a, b in zip(one, two, strict=False))
        why = "" if one == two else "halves: Topaz rounds x.5 as float32"
        yield (
            f"convert, {what}" if what != "split" else "split",
            "names and coordinates",
            f"{same} of {len(one)} equal",
            why,
        )


def table(path: Path) -> list[tuple[str, float, float]]:
    """Read names without extensions, and coordinates."""
    picks = read_picks(path)
    return [(n.removesuffix(".mrc"), *xy) for n, xy in zip(picks.names, picks.xy.round().tolist(), strict=True)]


def evaluation(theirs: Program, ours: Program) -> Iterator[tuple[str, str, str, str]]:
    """Compare the curves of the same picks against the same labels."""
    heads = []
    for program in (theirs, ours):
        picks = theirs.folder / "picks.txt"
        out = program(f"precision_recall_curve --predicted {picks} --targets raw/human.txt -r 16")
        head = next(line for line in out.splitlines() if line.startswith("# auprc="))
        heads.append([float(word.split("=")[1]) for word in head[2:].split(", ")])
    (a, mae), (b, own) = heads
    yield "precision_recall_curve", "auprc", f"{a:.6f} and {b:.6f}", ""
    yield "precision_recall_curve", "mean distance", f"{mae:.4f} and {own:.4f}", "Topaz prints the square root"


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--topaz", type=Path, required=True, help="executable of topaz-em, in its own environment")
    parser.add_argument("--weights", type=Path, required=True, help="folder topaz/pretrained of topaz-em")
    return parser.parse_args()


if __name__ == "__main__":
    main()
