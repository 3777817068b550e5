"""Denoising of files: each under its own name, in its own size, with its pixel size."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heliodor.denoise.apply import denoise
from heliodor.denoise.filters import cut_pixels, deconvolve, gaussian, inverse_gaussian, lowpass
from heliodor.done import Done, Line
from heliodor.errors import MicrographError, SettingsError
from heliodor.files import atomic_path, make_directory
from heliodor.micrographs import MRC, Micrograph, check_there, check_writable, read_micrograph, write_micrograph
from heliodor.networks.weights import weights_digest
from heliodor.progress import SILENT, Reporter
from heliodor.stream import stream, usable

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    from mrcfile.mrcmemmap import MrcMemmap
    from numpy.typing import NDArray

    from heliodor.denoise.networks import Denoiser
    from heliodor.names import MicrographFile

RECORD = ".denoise.jsonl"  # hidden: programs take every file of the folder for a micrograph
DEFAULT_SUFFIX = ".denoised"  # where results stand beside their inputs
PICTURES = ("png", "jpg", "jpeg")  # formats of 8 bits, which hold normalized pixels


@dataclass(frozen=True)
class DenoiseSettings:
    """How an image is denoised: filters first, in this order, then networks; see `filters` and `apply.denoise`."""

    pixel_cutoff: float = 0.0
    lowpass: float = 1.0
    gaussian: float = 0.0
    inverse_gaussian: float = 0.0
    deconvolve: bool = False
    deconvolution_patches: int = 1
    normalize: bool = False
    tile: int = 1024
    padding: int = 0

    def __call__(self, pixels: NDArray[np.float32], networks: Sequence[Denoiser]) -> NDArray[np.float32]:
        """Filter and denoise an image; without networks, filter only."""
        pixels = lowpass(cut_pixels(pixels, self.pixel_cutoff), self.lowpass)
        pixels = inverse_gaussian(gaussian(pixels, self.gaussian), self.inverse_gaussian)
        if self.deconvolve:
            pixels = deconvolve(pixels, self.deconvolution_patches)
        return denoise(pixels, networks, normalize=self.normalize, tile=self.tile, padding=self.padding)


def image_outputs(
    micrographs: Sequence[MicrographFile],
    folder: str | os.PathLike[str] | None,
    *,
    format: str = "mrc",
    suffix: str = "",
) -> dict[Path, Path]:
    """Say where denoised images go, and check, before any work, that they can.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    folder : path or None
        For NAME + suffix + '.' + format; None: the folder of each micrograph.
    format : str
        Extension without a dot.
    suffix : str
        Put behind names; without a folder, DEFAULT_SUFFIX where it is empty.

    Returns
    -------
    dict
        Path of the micrograph -> that of its result.

    Raises
    ------
    SettingsError
        Two results would be one file, one would replace an input, or images cannot be written in this format.
    OutputError
        A folder cannot be made or cannot be written to.
    """
    check_writable(format)
    return _checked({m.path: _output(m, folder, suffix, format) for m in micrographs})


def stack_outputs(
    stacks: Sequence[MicrographFile], output: str | os.PathLike[str] | None, *, suffix: str = ""
) -> dict[Path, Path]:
    """Say where denoised stacks go, as `image_outputs` does; `output` may be the name of a stack, the file itself.

    Raises
    ------
    MicrographError
        One is no MRC stack.
    SettingsError, OutputError
        See `image_outputs`; or one file is named for several stacks.
    """
    for stack in stacks:
        _open_stack(stack.path).close()
    if output is None or Path(output).suffix.lower() not in MRC or Path(output).is_dir():
        return image_outputs(stacks, output, suffix=suffix)
    if len(stacks) > 1:
        raise SettingsError(f"{output}: one file for {len(stacks)} stacks; give a folder with -o")
    return _checked({stack.path: Path(output) for stack in stacks})


def _checked(outputs: dict[Path, Path]) -> dict[Path, Path]:
    """Refuse results that would share a file or replace an input, and make their folders."""
    inputs = {path.resolve() for path in outputs}
    first: dict[Path, Path] = {}
    for path, output in outputs.items():
        place = output.resolve()
        if place in inputs:
            raise SettingsError(f"{path}: {output} would replace an input; choose another folder, or give --suffix")
        other = first.setdefault(place, path)
        if other != path:
            raise SettingsError(
                f"{other} and {path} would both be written to {output}; give a folder with -o, or denoise one of them "
                "by itself with another --suffix"
            )
    for folder in {output.parent for output in outputs.values()}:
        make_directory(folder)
    return outputs


def denoise_files(
    micrographs: Sequence[MicrographFile],
    networks: Sequence[Denoiser],
    settings: DenoiseSettings,
    outputs: Mapping[Path, Path],
    folder: str | os.PathLike[str] | None,
    *,
    overwrite: bool = False,
    reporter: Reporter = SILENT,
) -> dict[str, str]:
    """Denoise micrographs into `folder`, or beside themselves.

    What is in the folder already, of the same file by the same settings and networks, is skipped: see
    `heliodor.done.Done`.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    networks : sequence of Denoiser
    settings : DenoiseSettings
    outputs : mapping
        Of `image_outputs`.
    folder : path or None
        The one that `outputs` are in.
    overwrite : bool
        Do everything again, as always without a folder.
    reporter : Reporter

    Returns
    -------
    dict
        Path -> why it was skipped.

    Raises
    ------
    SettingsError
        A result would replace that of another run.
    MicrographError
        None of them could be used.
    """
    done = None
    if folder is not None:
        deciding = {**asdict(settings), "lists": {"networks": [weights_digest(network) for network in networks]}}
        done = Done(Path(folder) / RECORD, deciding, lambda file: [outputs[file.path]])
        micrographs = done.missing(micrographs, overwrite=overwrite, reporter=reporter)

    def load(file: MicrographFile) -> tuple[Micrograph, Line | None]:
        line = done.begin(file) if done is not None else None
        return read_micrograph(file.path, name=file.name), line

    failed: dict[str, str] = {}
    for file, (found, line) in usable(stream(micrographs, load, 1), len(micrographs), "denoising", reporter, failed):
        pixels = settings(found.pixels, networks)
        write_micrograph(outputs[file.path], Micrograph(pixels, found.pixel_size, found.name))
        if done is not None and line is not None:
            done.finish(line)
    return failed


def _output(file: MicrographFile, folder: str | os.PathLike[str] | None, suffix: str, format: str) -> Path:
    if folder is None:
        return file.path.with_name(f"{file.path.stem}{suffix or DEFAULT_SUFFIX}.{format}")
    return Path(folder) / f"{file.name}{suffix}.{format}"


def denoise_stack(
    path: Path,
    networks: Sequence[Denoiser],
    settings: DenoiseSettings,
    output: Path,
    reporter: Reporter = SILENT,
) -> None:
    """Denoise the sections of an MRC stack, one by one, into another.

    Raises
    ------
    MicrographError
        It is no MRC stack.
    """
    import mrcfile

    with (
        _open_stack(path) as old,
        atomic_path(output) as temporary,
        mrcfile.new_mmap(temporary, shape=old.data.shape, mrc_mode=2, overwrite=True) as new,
    ):
        for k in reporter.track(range(len(old.data)), len(old.data), "denoising"):
            new.data[k] = settings(np.asarray(old.data[k], dtype=np.float32), networks)
        new.set_image_stack()
        new.voxel_size = old.voxel_size
        new.update_header_stats()


def _open_stack(path: Path) -> MrcMemmap:
    """Map an MRC stack of images; a `MicrographError` where it is none."""
    import mrcfile

    check_there(path)
    try:
        with warnings.catch_warnings():  # of what is no MRC file; what is wrong is said below
            warnings.simplefilter("ignore")
            stack = mrcfile.mmap(path, permissive=True)
    except (ValueError, OSError) as error:
        raise MicrographError(f"{path}: not a readable MRC stack ({error}); give an uncompressed one") from error
    if stack.data is None or stack.data.ndim != 3:
        stack.close()
        raise MicrographError(f"{path}: not an MRC stack of images; leave it out, or leave --stack out")
    return stack
