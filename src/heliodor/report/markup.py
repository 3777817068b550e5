"""HTML and SVG as a tree: what is put in as text can never become markup."""

from __future__ import annotations

import base64
from importlib import resources
from typing import TYPE_CHECKING
from xml.etree.ElementTree import Element, SubElement, tostring

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    Content = Element | str | int

# Nothing but what stands in the file itself: no script, no request to anywhere.
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"


def tag(name: str, *content: Content, **attributes: str | float) -> Element:
    """Make an element.

    Parameters
    ----------
    name : str
    *content : Element, str or int
        Children and text, in their order.
    **attributes
        `class_` becomes class, `stroke_width` stroke-width; numbers are written with two decimals at most.
    """
    element = Element(name, {_attribute(key): _text(value) for key, value in attributes.items()})
    for child in content:
        if isinstance(child, Element):
            element.append(child)
        elif len(element):
            element[-1].tail = (element[-1].tail or "") + _text(child)
        else:  # no child yet
            element.text = (element.text or "") + _text(child)
    return element


def _attribute(name: str) -> str:
    return name.rstrip("_").replace("_", "-")


def _text(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    if isinstance(value, int):
        return str(value)
    # Names of files may hold bytes that are no text, and characters that no page may hold.
    printable = "".join(c if c >= " " or c in "\t\n" else f"\\x{ord(c):02x}" for c in value)
    return printable.encode("utf-8", "backslashreplace").decode("utf-8")


def table(header: Sequence[str], rows: Iterable[Sequence[Content]], *, numbers: Sequence[int] = ()) -> Element:
    """Make a table; the columns `numbers` are set flush right."""

    def cells(kind: str, row: Sequence[Content]) -> list[Element]:
        return [
            tag(kind, cell, class_="number") if column in numbers else tag(kind, cell)
            for column, cell in enumerate(row)
        ]

    body = tag("tbody", *(tag("tr", *cells("td", row)) for row in rows))
    return tag("div", tag("table", tag("thead", tag("tr", *cells("th", header))), body), class_="table")


def data_uri(content: bytes, kind: str) -> str:
    """Return an image as an address that holds it."""
    return f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"


def page(title: str, sections: Iterable[Element]) -> str:
    """Return the whole document."""
    root = Element("html", {"lang": "en"})
    head = SubElement(root, "head")
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    head.extend(
        [
            tag("meta", charset="utf-8"),
            Element("meta", {"http-equiv": "Content-Security-Policy", "content": POLICY}),
            tag("meta", name_="viewport", content_="width=device-width, initial-scale=1"),
            tag("title", title),
            tag("style", style),
        ]
    )
    root.append(tag("body", tag("main", *sections)))
    return "<!DOCTYPE html>\n" + tostring(root, encoding="unicode", method="html") + "\n"
