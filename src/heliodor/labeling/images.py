"""Pictures of micrographs for the page, from caches that do not grow with the number of micrographs."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from heliodor.errors import MicrographError
from heliodor.labeling.pyramid import Look, Pyramid, size_of_levels
from heliodor.micrographs import read_header, read_micrograph
from heliodor.picking.load import first_of_size

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from heliodor.names import MicrographFile

T = TypeVar("T")

PYRAMIDS = 512 * 2**20  # bytes: two micrographs of 11,500 x 8,200 pixels
THUMBNAILS = 32 * 2**20
_THUMBNAIL = 112  # pixels along the longer side
_QUALITY = 88


class BoundedCache(Generic[T]):
    """Values made on demand; those used longest ago go when all together are larger than `limit` bytes.

    Making is done by one thread at a time, so that memory holds one value in the making at most. The newest
    value stays, however large it is.

    Parameters
    ----------
    limit : int
        In bytes.
    size_of : callable
        Bytes of a value.
    """

    def __init__(self, limit: int, size_of: Callable[[T], int]) -> None:
        self._limit, self._size_of = limit, size_of
        self._values: OrderedDict[Hashable, T] = OrderedDict()
        self._bytes = 0
        self._access, self._making = threading.Lock(), threading.Lock()

    @property
    def nbytes(self) -> int:
        """Bytes that are held now."""
        return self._bytes

    def get(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of `key`, made by `make` where it is not there."""
        found = self.peek(key)
        if found is not None:
            return found
        with self._making:
            found = self.peek(key)  # another thread may have made it meanwhile
            if found is None:
                found = make()
                self._put(key, found)
        return found

    def peek(self, key: Hashable) -> T | None:
        """Return the value of `key` if it is there."""
        with self._access:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def _put(self, key: Hashable, value: T) -> None:
        with self._access:
            self._values[key] = value
            self._bytes += self._size_of(value)
            while self._bytes > self._limit and len(self._values) > 1:
                _, old = self._values.popitem(last=False)
                self._bytes -= self._size_of(old)


@dataclass(frozen=True)
class Header:
    """What is known of a micrograph without its pixels; `version` changes with the file.

    A micrograph that does not say its pixel size, in angstrom, has that of the first one that does, as in training.
    """

    width: int
    height: int
    pixel_size: float | None
    version: str


class Images:
    """Tiles, thumbnails and windows of micrographs, each given by its number.

    Parameters
    ----------
    micrographs : sequence of MicrographFile
    pixel_size : float, optional
        Angstrom per pixel, where headers have none or a wrong one.
    limit : int
        Bytes of the levels that are kept.
    """

    def __init__(
        self, micrographs: Sequence[MicrographFile], pixel_size: float | None = None, limit: int = PYRAMIDS
    ) -> None:
        self._micrographs, self._pixel_size = micrographs, pixel_size
        self._limit = limit
        self._pyramids: BoundedCache[Pyramid] = BoundedCache(limit, lambda pyramid: pyramid.nbytes)
        self._thumbnails: BoundedCache[bytes] = BoundedCache(THUMBNAILS, len)
        self._headers: dict[int, Header] = {}
        self._reading = threading.Lock()  # one whole micrograph in float32 at a time
        self.errors: dict[int, str] = {}
        self._failed: dict[int, str] = {}  # version of the file that an error is about

    @property
    def nbytes(self) -> int:
        """Bytes that the caches hold now."""
        return self._pyramids.nbytes + self._thumbnails.nbytes

    @cached_property
    def pixel_size(self) -> float | None:
        """Angstrom per pixel as given, or of the first micrograph that says it; None where none does.

        Raises
        ------
        MicrographError
            None can be read.
        """
        return first_of_size(self._micrographs, self._pixel_size)[1]

    def header(self, index: int) -> Header:
        """Return size and pixel size; raises `MicrographError`, which `errors` then remembers."""
        path = self._micrographs[index].path
        try:
            stat = path.stat()
        except OSError as error:
            self.errors[index] = f"{path}: cannot be read ({error.strerror}); is it still there?"
            raise MicrographError(self.errors[index]) from error
        version = f"{stat.st_mtime_ns:x}-{stat.st_size:x}"
        known = self._headers.get(index)
        if known is None or known.version != version:
            (height, width), size = self._watched(index, version, lambda: read_header(path))
            known = self._headers[index] = Header(width, height, self._pixel_size or size or self.pixel_size, version)
        return known

    def tile(self, index: int, level: int, row: int, column: int, look: Look) -> bytes | None:
        """Return a tile as JPEG; None where the micrograph has no such tile."""
        pyramid = self._pyramid(index)
        if level >= len(pyramid.levels):
            return None
        grey = pyramid.tile(level, row, column, look)
        return _jpeg(grey) if grey.size else None

    def window(self, index: int, x: float, y: float, size: float, look: Look) -> bytes:
        """Return a square around (x, y), `size` full-size pixels wide, as JPEG; what lies off the micrograph is grey.

        The level is the smallest that has 128 pixels for it.
        """
        pyramid = self._pyramid(index)
        level = 0
        while level + 1 < len(pyramid.levels) and size / 2 ** (level + 1) >= 128:
            level += 1
        (ny, nx), width = pyramid.levels[level].shape, max(2, round(size / 2**level))
        top, left = (round((c + 0.5) / 2**level - width / 2) for c in (y, x))
        rows, columns = slice(max(0, top), min(ny, top + width)), slice(max(0, left), min(nx, left + width))
        square = np.full((width, width), 128, dtype=np.uint8)
        if rows.start < rows.stop and columns.start < columns.stop:
            grey = pyramid.window(level, rows, columns, look)
            square[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = grey
        return _jpeg(square)

    def read_ahead(self, index: int) -> None:
        """Read a micrograph that is likely to be looked at next, unless that would push out one as large as it."""
        header = self.header(index)
        if 2 * size_of_levels(header.width, header.height) <= self._limit:
            self._pyramid(index)

    def thumbnail(self, index: int) -> bytes:
        """Return a small JPEG of the whole micrograph."""
        version = self.header(index).version
        return self._thumbnails.get((index, version), lambda: self._make_thumbnail(index))

    def _make_thumbnail(self, index: int) -> bytes:
        # Looking through the list must not push the micrographs that are being looked at out of the cache.
        pyramid = self._pyramids.peek((index, self.header(index).version)) or self._read(index)
        last = len(pyramid.levels) - 1
        ny, nx = pyramid.levels[last].shape
        return _jpeg(pyramid.window(last, slice(0, ny), slice(0, nx), Look()), _THUMBNAIL)

    def _pyramid(self, index: int) -> Pyramid:
        return self._pyramids.get((index, self.header(index).version), lambda: self._read(index))

    def _read(self, index: int) -> Pyramid:
        path, version = self._micrographs[index].path, self.header(index).version
        with self._reading:
            return self._watched(index, version, lambda: Pyramid.of(read_micrograph(path).pixels))

    def _watched(self, index: int, version: str, read: Callable[[], T]) -> T:
        """Remember why a file cannot be read: it is not tried again until it changes."""
        if index in self.errors and self._failed.get(index) == version:
            raise MicrographError(self.errors[index])
        try:
            result = read()
        except MicrographError as error:
            self.errors[index], self._failed[index] = str(error), version
            raise
        self.errors.pop(index, None)
        return result


def _jpeg(grey: NDArray[np.uint8], longest: int | None = None) -> bytes:
    from PIL import Image

    image = Image.fromarray(grey)
    if longest is not None:
        image.thumbnail((longest, longest))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()
