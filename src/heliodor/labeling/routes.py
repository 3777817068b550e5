"""What the server answers: a table of paths, each with a function. Paths are compared as they come, never decoded."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from heliodor.errors import HeliodorError, LabelError, OutputError, SettingsError
from heliodor.labeling.labels import Edit
from heliodor.labeling.pyramid import Look

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from heliodor.labeling.app import App

_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
_A_DAY = "private, max-age=86400"  # for what has its version in its address
_MOST_EDITS = 20_000  # in one request
_LONGEST_LOWPASS = 1000.0  # pixels


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


def answer(app: App, method: str, path: str, query: str, body: bytes) -> Response:
    """Answer a request whose path follows the token's.

    Errors come back as {"error": line}, with status 422, or 503 where the disk may be at fault.
    """
    try:
        for wanted, pattern, function in _ROUTES:
            match = pattern.fullmatch(path)
            if match and method == wanted:
                return function(app, _request(match, query, body))
        if method == "GET" and path in _static():
            return _static()[path]
    except NotFoundError:
        pass
    except OutputError as error:
        return _json({"error": str(error)}, 503)  # the page tries again
    except HeliodorError as error:
        return _json({"error": str(error)}, 422)
    return _json({"error": "there is nothing here"}, 404)


def _request(match: re.Match[str], query: str, body: bytes) -> Request:
    try:
        fields = parse_qs(query, max_num_fields=16)
        content = json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise SettingsError("the request cannot be read") from error
    numbers = tuple(int(text[:9]) for text in match.groups())
    return Request(numbers, {name: values[-1] for name, values in fields.items()}, content)


def _json(value: Any, status: int = 200) -> Response:
    return Response(json.dumps(value, separators=(",", ":")).encode(), status=status)


def _jpeg(picture: bytes | None) -> Response:
    if picture is None:
        raise NotFoundError
    return Response(picture, "image/jpeg", cache=_A_DAY)


def _known(app: App, request: Request) -> int:
    """Return the number of a micrograph, the first of the path."""
    if request.numbers[0] >= len(app.micrographs):
        raise NotFoundError
    return request.numbers[0]


def _look(app: App, index: int, request: Request) -> Look:
    low, high = request.number("low", 1), request.number("high", 99)
    lowpass = request.number("lowpass", 0) / (app.images.header(index).pixel_size or 1.0)
    if not (0 <= low < high <= 100 and 0 <= lowpass <= _LONGEST_LOWPASS):
        raise SettingsError(f"contrast from {low:g} to {high:g} percent, low-pass {lowpass:g} pixels: not to be shown")
    return Look(low, high, lowpass, request.query.get("inverted") == "1")


def _session(app: App, _: Request) -> Response:
    return _json(app.describe())


def _micrograph(app: App, request: Request) -> Response:
    return _json(app.describe_micrograph(_known(app, request)))


def _changes(app: App, request: Request) -> Response:
    changes = app.changes(int(request.number("since", -1)))
    index, known = int(request.number("micrograph", -1)), request.number("known", -1)
    if 0 <= index < len(app.micrographs):
        state = app.session.of(index)
        if state["revision"] > known:
            changes["micrograph"] = {"index": index, **state}
    return _json(changes)


def _picks(app: App, _: Request) -> Response:
    return _json(app.describe_picks())


def _counts(app: App, request: Request) -> Response:
    return _json(app.candidates.counts(request.number("threshold", 0)))


def _tile(app: App, request: Request) -> Response:
    index = _known(app, request)
    _, level, row, column = request.numbers
    return _jpeg(app.images.tile(index, level, row, column, _look(app, index, request)))


def _window(app: App, request: Request) -> Response:
    index = _known(app, request)
    header = app.images.header(index)
    x, y, size = request.number("x", 0), request.number("y", 0), request.number("size", 0)
    if not (-0.5 <= x <= header.width and -0.5 <= y <= header.height and 2 <= size <= max(header.width, header.height)):
        raise SettingsError("the window does not lie on the micrograph")
    return _jpeg(app.images.window(index, x, y, size, _look(app, index, request)))


def _thumbnail(app: App, request: Request) -> Response:
    return _jpeg(app.images.thumbnail(_known(app, request)))


def _ahead(app: App, request: Request) -> Response:
    app.images.read_ahead(_known(app, request))
    return _json({})


def _edit(app: App, request: Request) -> Response:
    index, words = _known(app, request), request.body
    if not isinstance(words, dict) or not isinstance(words.get("edits"), list):
        raise LabelError("edits come as a list")
    if len(words["edits"]) > _MOST_EDITS:
        raise LabelError(f"at most {_MOST_EDITS} edits at a time")
    base = words.get("base")
    header = app.images.header(index)
    edits = [Edit.of_json(one, header.width, header.height) for one in words["edits"]]
    return _json(app.session.edit(index, base if isinstance(base, int) else -1, edits))


def _choose(app: App, request: Request) -> Response:
    if not isinstance(request.body, dict):
        raise SettingsError("choices come as names and values")
    chosen = {name: request.body[name] for name in ("diameter", "threshold") if name in request.body}
    for name, value in chosen.items():
        if value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise SettingsError(f"the {name} must be a number")
        if name == "diameter" and not 0 < value <= 100_000:
            raise SettingsError(f"the diameter must be more than 0 and at most 100000 A. Got {value:g} instead.")
    app.session.choose(chosen)
    return _json({})


def _train(app: App, _: Request) -> Response:
    app.training.start(app.session.choice("diameter"))
    return _json(app.training.status())


def _cancel(app: App, _: Request) -> Response:
    app.training.cancel()
    return _json(app.training.status())


def _proposals(app: App, _: Request) -> Response:
    return _json(app.review.propose(app.radius, app.threshold))


def _audit(app: App, _: Request) -> Response:
    return _json(app.review.audit(app.threshold))


def _start_audit(app: App, _: Request) -> Response:
    app.review.start_audit(app.threshold)
    return _json(app.review.audit(app.threshold))


def _answer(app: App, request: Request) -> Response:
    words = request.body if isinstance(request.body, dict) else {}
    row, word = words.get("row"), words.get("answer")
    if not isinstance(row, int) or not isinstance(word, str):
        raise LabelError("an answer comes with the number of its question")
    app.review.answer(row, word)
    return _json({})


def _label_answers(app: App, _: Request) -> Response:
    def size(index: int) -> tuple[int, int]:
        header = app.images.header(index)
        return header.width, header.height

    return _json({"labels": app.review.label_answers(app.radius, size)})


def _export(app: App, _: Request) -> Response:
    return _json(app.review.export(app.radius, app.threshold))


def _index(_app: App, _: Request) -> Response:
    return _static()["static/index.html"]


def _route(method: str, path: str, function: Callable[[App, Request], Response]) -> Any:
    return method, re.compile(path.replace("#", "([0-9]+)")), function


_ROUTES: list[tuple[str, re.Pattern[str], Callable[[App, Request], Response]]] = [
    _route("GET", "", _index),
    _route("GET", "api/session", _session),
    _route("GET", "api/changes", _changes),
    _route("GET", "api/micrograph/#", _micrograph),
    _route("GET", "api/picks", _picks),
    _route("GET", "api/counts", _counts),
    _route("GET", "tile/#/#/#/#", _tile),
    _route("GET", "window/#", _window),
    _route("GET", "thumbnail/#", _thumbnail),
    _route("GET", "api/ahead/#", _ahead),
    _route("POST", "api/edit/#", _edit),
    _route("POST", "api/choices", _choose),
    _route("POST", "api/train", _train),
    _route("POST", "api/cancel", _cancel),
    _route("GET", "api/proposals", _proposals),
    _route("GET", "api/audit", _audit),
    _route("POST", "api/audit/start", _start_audit),
    _route("POST", "api/audit/answer", _answer),
    _route("POST", "api/audit/label", _label_answers),
    _route("POST", "api/export", _export),
]
_loaded: dict[str, Response] = {}


def _static() -> dict[str, Response]:
    """Return the page's own files, read once: what is not among them cannot be asked for."""
    if not _loaded:
        for file in resources.files("heliodor.labeling").joinpath("static").iterdir():
            kind = _TYPES.get(file.name[file.name.rfind(".") :])
            if kind is not None:
                _loaded[f"static/{file.name}"] = Response(file.read_bytes(), kind, cache="no-cache")
    return _loaded
