"""What is done for each kind of request."""

from __future__ import annotations

from typing import TYPE_CHECKING

from heliodor.errors import LabelError, SettingsError
from heliodor.labeling.labels import Edit, is_number
from heliodor.labeling.messages import NotFoundError, Request, Response, as_jpeg, as_json
from heliodor.labeling.pyramid import Look

if TYPE_CHECKING:
    from heliodor.labeling.app import App

_MOST_EDITS = 20_000  # in one request
_LONGEST_LOWPASS = 1000.0  # pixels


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


def tell_session(app: App, _: Request) -> Response:
    """Tell what a page needs to begin with."""
    return as_json(app.describe())


def tell_micrograph(app: App, request: Request) -> Response:
    """Tell the size, labels and picks of a micrograph."""
    return as_json(app.describe_micrograph(_known(app, request)))


def tell_changes(app: App, request: Request) -> Response:
    """Tell what has changed since a revision, and the labels of a micrograph where they have."""
    changes = app.changes(int(request.number("since", -1)))
    index, known = int(request.number("micrograph", -1)), request.number("known", -1)
    if 0 <= index < len(app.micrographs):
        state = app.session.of(index)
        if state["revision"] > known:
            changes["micrograph"] = {"index": index, **state}
    return as_json(changes)


def tell_picks(app: App, _: Request) -> Response:
    """Tell what the threshold slider needs."""
    return as_json(app.describe_picks())


def count_picks(app: App, request: Request) -> Response:
    """Count the picks of each micrograph above a threshold."""
    return as_json(app.candidates.counts(request.number("threshold", 0)))


def tile(app: App, request: Request) -> Response:
    """Render a tile."""
    index = _known(app, request)
    _, level, row, column = request.numbers
    return as_jpeg(app.images.tile(index, level, row, column, _look(app, index, request)))


def window(app: App, request: Request) -> Response:
    """Render a square around a place."""
    index = _known(app, request)
    header = app.images.header(index)
    x, y, size = request.number("x", 0), request.number("y", 0), request.number("size", 0)
    if not (-0.5 <= x <= header.width and -0.5 <= y <= header.height and 2 <= size <= max(header.width, header.height)):
        raise SettingsError("the window does not lie on the micrograph")
    return as_jpeg(app.images.window(index, x, y, size, _look(app, index, request)))


def thumbnail(app: App, request: Request) -> Response:
    """Render a whole micrograph, small."""
    return as_jpeg(app.images.thumbnail(_known(app, request)))


def read_ahead(app: App, request: Request) -> Response:
    """Read a micrograph that is likely to be opened next."""
    app.images.read_ahead(_known(app, request))
    return as_json({})


def edit(app: App, request: Request) -> Response:
    """Change labels of a micrograph."""
    index, words = _known(app, request), request.body
    if not isinstance(words, dict) or not isinstance(words.get("edits"), list):
        raise LabelError("edits come as a list")
    if len(words["edits"]) > _MOST_EDITS:
        raise LabelError(f"at most {_MOST_EDITS} edits at a time")
    base = words.get("base")
    header = app.images.header(index)
    edits = [Edit.of_json(one, header.width, header.height) for one in words["edits"]]
    return as_json(app.session.edit(index, base if isinstance(base, int) else -1, edits))


def choose(app: App, request: Request) -> Response:
    """Keep the diameter or the threshold."""
    if not isinstance(request.body, dict):
        raise SettingsError("choices come as names and values")
    chosen = {name: request.body[name] for name in ("diameter", "threshold") if name in request.body}
    for name, value in chosen.items():
        if value is None:
            continue
        if not is_number(value):
            raise SettingsError(f"the {name} must be a number")
        if name == "diameter" and not 0 < value <= 100_000:
            raise SettingsError(f"the diameter must be more than 0 and at most 100000 A. Got {value:g} instead.")
    if "threshold" in chosen:
        app.choose_threshold(chosen.pop("threshold"))
    if chosen:
        app.session.choose(chosen)
    return as_json({})


def train(app: App, _: Request) -> Response:
    """Start training."""
    app.training.start(app.session.choice("diameter"))
    return as_json(app.training.status())


def cancel(app: App, _: Request) -> Response:
    """Stop training."""
    app.training.cancel()
    return as_json(app.training.status())


def propose(app: App, _: Request) -> Response:
    """Tell what to label next."""
    return as_json(app.review.propose(app.radius, app.threshold))


def tell_audit(app: App, _: Request) -> Response:
    """Tell the questions about picks, and what the answers say."""
    return as_json(app.review.audit(app.threshold))


def start_audit(app: App, _: Request) -> Response:
    """Draw questions about picks."""
    app.review.start_audit(app.threshold)
    return as_json(app.review.audit(app.threshold))


def answer_question(app: App, request: Request) -> Response:
    """Keep an answer about a pick."""
    words = request.body if isinstance(request.body, dict) else {}
    row, word = words.get("row"), words.get("answer")
    if not isinstance(row, int) or not isinstance(word, str):
        raise LabelError("an answer comes with the number of its question")
    app.review.answer(row, word, (words.get("index"), words.get("x"), words.get("y")))
    return as_json({})


def label_answers(app: App, _: Request) -> Response:
    """Make labels of the answers."""

    def size(index: int) -> tuple[int, int]:
        header = app.images.header(index)
        return header.width, header.height

    return as_json({"labels": app.review.label_answers(app.radius, size)})


def export(app: App, _: Request) -> Response:
    """Write the final picks."""
    return as_json(app.review.export(app.radius, app.threshold))
