"""What a request holds and what an answer is."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from heliodor.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

_A_DAY = "private, max-age=86400"  # in a browser, under addresses that change with each start of the server


@dataclass(frozen=True)
class Response:
    """An answer."""

    body: bytes
    type: str = "application/json"
    status: int = 200
    cache: str = "no-store"


@dataclass(frozen=True)
class Request:
    """A question: the numbers in its path, its query and its body."""

    numbers: tuple[int, ...] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None

    def number(self, name: str, default: float) -> float:
        """Return a finite number of the query; raises `SettingsError` where it is none."""
        try:
            value = float(self.query.get(name, default))
        except ValueError:
            value = math.nan
        if not math.isfinite(value):
            raise SettingsError(f"'{name}' must be a number")
        return value


class NotFoundError(Exception):
    """There is nothing at this path."""


def as_json(value: Any, status: int = 200) -> Response:
    """Answer with a value."""
    return Response(json.dumps(value, separators=(",", ":")).encode(), status=status)


def as_jpeg(picture: bytes | None) -> Response:
    """Answer with a picture; None is a `NotFoundError`."""
    if picture is None:
        raise NotFoundError
    return Response(picture, "image/jpeg", cache=_A_DAY)
