"""Write score maps: the log-odds of a particle at every pixel."""

from __future__ import annotations

import argparse

from heliodor.cli.topaz.arguments import LOG, add_machine, images, integer


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options."""
    parser.add_argument("paths", nargs="+", help="preprocessed micrographs, folders, globs or lists")
    parser.add_argument("-m", "--model", default="resnet16", help="model file, or the name of one of Topaz's")
    parser.add_argument("-o", "--destdir", default=".", help="folder for NAME.tiff")
    parser.add_argument("-p", "--patch-size", type=integer, default=0, help="side of the pieces; 0: chosen")
    parser.add_argument("-v", "--verbose", action="store_true", help="say each micrograph that is done")
    add_machine(parser, workers=False)


def run(options: argparse.Namespace) -> int:
    """Score; return 0, or 1 where some micrographs were skipped."""
    from heliodor.cli.topaz.scoring import score_files
    from heliodor.files import make_directory
    from heliodor.micrographs import Micrograph, write_micrograph

    files = images(options.paths)
    folder = make_directory(options.destdir)
    done = 0
    for file, scores in score_files(
        files, options.model, options.device, options.patch_size, threads=options.num_threads
    ):
        write_micrograph(folder / f"{file.name}.tiff", Micrograph(scores, None, file.name))
        done += 1
        if options.verbose:
            LOG.note(f"processed: {file.name}")
    return 0 if done == len(files) else 1
