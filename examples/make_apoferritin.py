"""Make examples/apoferritin from the original micrographs and labels; its README says where they come from.

    python examples/make_apoferritin.py FOLDER

FOLDER holds the micrographs (NAME.mrc, 1240 x 1200 pixels of 1.5 A) and labels_a.txt (image_name, x_coord, y_coord).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import mrcfile
import numpy as np

from heliodor.formats import read_picks, write_picks
from heliodor.micrographs import read_micrograph
from heliodor.picks import Picks
from heliodor.preprocess import downsample

TRAINING = ("May08_03.05.02", "May08_03.15.02", "May08_04.32.27", "May08_04.36.57")
TEST = ("May08_03.13.02", "May08_03.43.44", "May08_04.33.57", "May08_05.24.39")
FACTOR = 2
LABELS = 100
SEED = 0


def write_small(source: Path, target: Path) -> None:
    """Bin a micrograph, bring it to mean 0 and standard deviation 1, write it as float16 (MRC mode 12)."""
    full = read_micrograph(source)
    if full.pixel_size is None:
        raise SystemExit(f"{source}: no pixel size in its header")
    small, (factor, _) = downsample(full.pixels, FACTOR)
    # Around 0, where the spacing of float16 numbers is finest: rounding stays below 0.002 standard deviations.
    pixels = ((small - small.mean()) / small.std()).astype(np.float16)
    with mrcfile.new(target, overwrite=True) as mrc:
        mrc.set_data(pixels)
        mrc.reset_header_stats()  # "not determined": programs that sum 372,000 squares in float16 get infinity
        mrc.voxel_size = full.pixel_size * factor
        mrc.header.nlabl = 1  # mrcfile's own label holds the time of writing: the same pixels should be the same file
        mrc.header.label[0] = f"{source.stem} of EMPIAR-10146, Fourier cropped by {FACTOR}"


def on(labels: Picks, names: tuple[str, ...]) -> Picks:
    """Labels of some micrographs."""
    return Picks.join(labels.of(name) for name in names)


def main() -> None:
    """Write micrographs, labels.txt (few, to train on) and human.txt (all, to compare with)."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="the original micrographs and labels_a.txt")
    folder = parser.parse_args().folder
    here = Path(__file__).parent / "apoferritin"
    here.mkdir(exist_ok=True)
    for name in TRAINING + TEST:
        write_small(folder / f"{name}.mrc", here / f"{name}.mrc")
    # Fourier cropping keeps the first pixel in place, so positions are divided by the factor and nothing else.
    human = read_picks(folder / "labels_a.txt").scaled(1 / FACTOR)
    known = on(human, TRAINING)
    drawn = np.sort(np.random.default_rng(SEED).choice(len(known), LABELS, replace=False))
    write_picks(here / "labels.txt", known.select(drawn))
    write_picks(here / "human.txt", on(human, TEST))


if __name__ == "__main__":
    main()
