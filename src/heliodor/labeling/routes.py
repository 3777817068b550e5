"""What the server answers: a table of paths, each with a function. Paths are compared as they come, never decoded."""

from __future__ import annotations

import json
import re
from importlib import resources
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs

from heliodor.errors import HeliodorError, OutputError, SettingsError
from heliodor.labeling import handlers
from heliodor.labeling.messages import NotFoundError, Request, Response, as_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from heliodor.labeling.app import App

_TYPES = {".html": "text/html; charset=utf-8", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}


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
        return as_json({"error": str(error)}, 503)  # the page tries again
    except HeliodorError as error:
        return as_json({"error": str(error)}, 422)
    return as_json({"error": "there is nothing here"}, 404)


def _request(match: re.Match[str], query: str, body: bytes) -> Request:
    try:
        fields = parse_qs(query, max_num_fields=16)
        content = json.loads(body) if body else None
    except (ValueError, RecursionError) as error:
        raise SettingsError("the request cannot be read") from error
    numbers = tuple(int(text[:9]) for text in match.groups())
    return Request(numbers, {name: values[-1] for name, values in fields.items()}, content)


def _index(_app: App, _: Request) -> Response:
    return _static()["static/index.html"]


def _route(method: str, path: str, function: Callable[[App, Request], Response]) -> Any:
    return method, re.compile(path.replace("#", "([0-9]+)")), function


_ROUTES: list[tuple[str, re.Pattern[str], Callable[[App, Request], Response]]] = [
    _route("GET", "", _index),
    _route("GET", "api/session", handlers.tell_session),
    _route("GET", "api/changes", handlers.tell_changes),
    _route("GET", "api/micrograph/#", handlers.tell_micrograph),
    _route("GET", "api/picks", handlers.tell_picks),
    _route("GET", "api/counts", handlers.count_picks),
    _route("GET", "tile/#/#/#/#", handlers.tile),
    _route("GET", "window/#", handlers.window),
    _route("GET", "thumbnail/#", handlers.thumbnail),
    _route("GET", "api/ahead/#", handlers.read_ahead),
    _route("POST", "api/edit/#", handlers.edit),
    _route("POST", "api/choices", handlers.choose),
    _route("POST", "api/train", handlers.train),
    _route("POST", "api/cancel", handlers.cancel),
    _route("GET", "api/proposals", handlers.propose),
    _route("GET", "api/audit", handlers.tell_audit),
    _route("POST", "api/audit/start", handlers.start_audit),
    _route("POST", "api/audit/answer", handlers.answer_question),
    _route("POST", "api/audit/label", handlers.label_answers),
    _route("POST", "api/export", handlers.export),
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
