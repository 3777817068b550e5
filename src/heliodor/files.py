"""Writing files so that a reader never sees half of one."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from heliodor.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_MENDS = {
    errno.ENOSPC: "free some space, or choose another folder, and run again",
    errno.EDQUOT: "your quota is used up: free some space, or choose another folder",
    errno.EACCES: "choose a folder that you may write to",
    errno.EPERM: "choose a folder that you may write to",
    errno.EROFS: "the file system is read-only: choose another folder",
    errno.ENOTDIR: "a file stands where a folder is needed: remove it or choose another folder",
    errno.EEXIST: "a file stands where a folder is needed: remove it or choose another folder",
    errno.EISDIR: "a folder stands where the file should go: remove it or choose another name",
    errno.ENAMETOOLONG: "choose a shorter name",
}


@contextlib.contextmanager
def output_errors(path: str | os.PathLike[str]) -> Iterator[None]:
    """Turn an `OSError` raised while writing `path` into one `OutputError` line with its mend."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        mend = _MENDS.get(error.errno or 0, "is the disk full? check the folder, and run again")
        cause = error.strerror or str(error)
        raise OutputError(f"{os.fspath(path)}: cannot write ({cause}); {mend}") from error


def make_directory(path: str | os.PathLike[str]) -> Path:
    """Create `path` and its parents where they are missing, and check that files can be put there.

    Raises
    ------
    OutputError
        The folder cannot be made or cannot be written to.
    """
    path = Path(path)
    with output_errors(path):
        path.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    return path


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a temporary path beside `path`; rename it to `path` when the block ends without an error.

    The temporary file keeps the suffix of `path` (writers that choose by suffix work), and its name
    is drawn at random, so that threads, processes and computers never share one. On an error, Ctrl-C included,
    it is removed and `path` stays as it was. A device or a pipe, such as /dev/null, is written to itself.

    Raises
    ------
    OutputError
        The folder is missing, not writable, or full.
    """
    path = Path(path)
    if is_device(path):
        with output_errors(path):
            yield path
        return
    temporary = path.with_name(f".{path.stem[:40]}.{secrets.token_hex(6)}.tmp{path.suffix}")
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield temporary
            os.replace(temporary, path)
        finally:
            with contextlib.suppress(FileNotFoundError):
                temporary.unlink()


def check_output(path: str | os.PathLike[str]) -> None:
    """Check, before long work, that `path` can be written; make the folder for it.

    Raises
    ------
    OutputError
        The folder cannot be made or cannot be written to.
    """
    with output_errors(path):
        if Path(path).is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not is_device(Path(path)):
        make_directory(Path(path).parent)


def is_device(path: Path) -> bool:
    """Whether `path` is what no file may take the place of; /dev/stdout, wherever that leads, is."""
    return path.exists() and not path.is_dir() and (not path.is_file() or path.parent == Path("/dev"))


def base_of(table: Path, listed: Iterable[str | os.PathLike[str]], *, own: bool = False) -> Path:
    """Return the folder that paths in a list count from: the working folder, the list's, or one above that.

    Parameters
    ----------
    table : path
        The list.
    listed : iterable of str or path
        What it names. The first folder in which one of these is there is it; the working folder, where none is.
    own : bool
        Look at the list's folders first: a program wrote it for its project, and another project has the same names.
    """
    paths = list(listed)
    folders = [table.parent, *table.resolve().parent.parents]
    bases = [*folders, Path()] if own else [Path(), *folders]
    return next((base for base in bases if any((base / path).exists() for path in paths)), Path())


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write `text` to `path` (UTF-8), atomically.

    Raises
    ------
    OutputError
        See `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_bytes(path: str | os.PathLike[str], content: bytes | memoryview) -> None:
    """Write `content` to `path`, atomically.

    Writers that do not raise `OSError` where a disk is full (those of torch and safetensors) write to memory first.

    Raises
    ------
    OutputError
        See `atomic_path`.
    """
    with atomic_path(path) as temporary:
        temporary.write_bytes(content)


def remove_files(paths: Iterable[Path]) -> None:
    """Remove files that are there, and the folders that are empty then."""
    folders = set()
    for path in paths:
        path.unlink(missing_ok=True)
        folders.add(path.parent)
    for folder in folders:
        with contextlib.suppress(OSError):  # it is not empty, or not there
            folder.rmdir()
