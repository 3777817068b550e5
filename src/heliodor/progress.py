"""How long work reports on itself: the library speaks to a `Reporter`, the command line draws it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")


class Reporter(Protocol):
    """Where a long job sends its notes, warnings and progress."""

    def note(self, message: str) -> None:
        """Say something worth knowing, one line."""

    def warn(self, message: str) -> None:
        """Say something that the user should look at, one line."""

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass `items` on one by one, showing how many of `total` are done, how fast, and the time left."""
        ...


class Silent:
    """A `Reporter` that says nothing: the default of every library call."""

    def note(self, message: str) -> None:
        """Drop the note."""

    def warn(self, message: str) -> None:
        """Drop the warning."""

    def track(self, items: Iterable[T], total: int, what: str) -> Iterator[T]:
        """Pass the items on."""
        yield from items


SILENT = Silent()
