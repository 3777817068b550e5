"""Plots as inline SVG: axes, bars, lines, dots. Colours are classes of style.css, so that they suit dark and light."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from heliodor.report.markup import tag
from heliodor.report.words import number

if TYPE_CHECKING:
    from collections.abc import Sequence
    from xml.etree.ElementTree import Element

    from numpy.typing import ArrayLike, NDArray

_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 14, 46
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True)
class Axis:
    """One axis: what stands beside it, with its unit, and from where to where it goes."""

    label: str
    low: float
    high: float
    log: bool = False
    whole: bool = False

    @classmethod
    def over(cls, label: str, values: ArrayLike, *, zero: bool = False, log: bool = False, whole: bool = False) -> Axis:
        """Make an axis that holds all finite `values`, with a little room, from zero if so wanted.

        `log`: in equal ratios; `whole`: of whole numbers.
        """
        known = np.asarray(values, dtype=np.float64).ravel()
        known = known[np.isfinite(known) & ((known > 0) | (not log))]
        if not len(known):
            return cls(label, 0.1 if log else 0.0, 1.0, log)
        low, high = float(known.min()), float(known.max())
        if log:
            return cls(label, low / 1.2, high * 1.2, True)
        room = 0.05 * (high - low) or max(1.0, abs(high)) * 0.1
        return cls(label, 0.0 if zero else low - room, high + room, whole=whole)

    def place(self, values: ArrayLike) -> NDArray[np.float64]:
        """Return where values lie on the axis, 0 at its start and 1 at its end."""
        own = np.asarray(values, dtype=np.float64)
        if self.log:
            return np.asarray((np.log(own) - math.log(self.low)) / (math.log(self.high) - math.log(self.low)))
        return np.asarray((own - self.low) / (self.high - self.low))

    def ticks(self, count: int = 6) -> list[float]:
        """Return round numbers on the axis, about `count` of them."""
        if self.log:
            decades = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
            fine = [factor * 10.0**decade for decade in decades for factor in (1, 2, 5)]
            return [value for value in fine if self.low <= value <= self.high]
        rough = (self.high - self.low) / count
        power = 10.0 ** math.floor(math.log10(rough))
        steps = [s * power for s in _STEPS if not self.whole or (s * power).is_integer()]
        step = next((s for s in steps if s >= rough * 0.999), 1.0)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


class Plot:
    """A plot that is drawn step by step, and then placed on the page by `element`.

    Parameters
    ----------
    title : str
        For those who cannot see it.
    x, y : Axis
    width, height : int
        Of the whole drawing; it is scaled to the page.
    """

    def __init__(self, title: str, x: Axis, y: Axis, width: int = 560, height: int = 280) -> None:
        self.x, self.y = x, y
        self._width, self._height = width, height
        self._svg = tag("svg", viewBox=f"0 0 {width} {height}", role="img", aria_label=title, class_="plot")
        self._draw_axes()

    def bars(self, edges: ArrayLike, heights: ArrayLike, style: str) -> None:
        """Draw bars from zero; one edge more than there are heights."""
        right, top = self._points(np.asarray(edges)[1:], heights)
        left, bottom = self._points(np.asarray(edges)[:-1], np.full(len(right), max(self.y.low, 0.0)))
        parts = [
            f"M{a:.1f} {b:.1f}V{t:.1f}H{r:.1f}V{b:.1f}Z"
            for a, b, r, t in zip(left, bottom, right, top, strict=True)
            if b - t > 0
        ]
        self._path("".join(parts), f"fill {style}")

    def line(self, x: ArrayLike, y: ArrayLike, style: str) -> None:
        """Draw a line; it is interrupted where a value is not finite."""
        pen, parts = "M", []
        for px, py in zip(*self._points(x, y), strict=True):
            if math.isfinite(px) and math.isfinite(py):
                parts.append(f"{pen}{px:.1f} {py:.1f}")
                pen = "L"
            else:
                pen = "M"
        self._path("".join(parts), f"line {style}")

    def dots(self, x: ArrayLike, y: ArrayLike, style: str, names: Sequence[str] = ()) -> None:
        """Draw dots, those that are not finite left out; `names` are shown under the mouse."""
        places = [(px, py) for px, py in zip(*self._points(x, y), strict=True)]
        if names:
            for (px, py), name in zip(places, names, strict=True):
                if math.isfinite(px) and math.isfinite(py):
                    place = {"cx": float(px), "cy": float(py), "r": 5.5}
                    self._svg.append(tag("circle", tag("title", name), class_=f"ring {style}", **place))
        else:  # one path for all, since there may be ten thousand
            parts = [f"M{px:.1f} {py:.1f}h0" for px, py in places if math.isfinite(px) and math.isfinite(py)]
            self._path("".join(parts), f"dots {style}")

    def intervals(self, x: ArrayLike, low: ArrayLike, high: ArrayLike, style: str) -> None:
        """Draw vertical bars of uncertainty."""
        px, bottom = self._points(x, low)
        _, top = self._points(x, high)
        parts = [f"M{a:.1f} {b:.1f}V{t:.1f}" for a, b, t in zip(px, bottom, top, strict=True)]
        self._path("".join(parts), f"line {style}")

    def upright(self, x: float, text: str, style: str) -> None:
        """Draw a line from top to bottom at `x`, and what it means beside it."""
        px = float(self._points([x], [self.y.low])[0][0])
        self._path(f"M{px:.1f} {_TOP}V{self._height - _BOTTOM}", f"line {style}")
        left = px > self._width * 0.6
        self._text(px + (-6 if left else 6), _TOP + 11, text, "end" if left else "start")

    def level(self, y: float, text: str, style: str) -> None:
        """Draw a line from left to right at `y`, and what it means above it."""
        py = float(self._points([self.x.low], [y])[1][0])
        self._path(f"M{_LEFT} {py:.1f}H{self._width - _RIGHT}", f"line {style}")
        self._text(self._width - _RIGHT - 4, py - 5, text, "end")

    def element(self) -> Element:
        """Return the SVG element."""
        return self._svg

    def _points(self, x: ArrayLike, y: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        across, down = self._width - _LEFT - _RIGHT, self._height - _TOP - _BOTTOM
        return _LEFT + across * self.x.place(x), _TOP + down * (1 - self.y.place(y))

    def _path(self, d: str, style: str) -> None:
        if d:
            self._svg.append(tag("path", d=d, class_=style))

    def _text(self, x: float, y: float, text: str, anchor: str, **more: str) -> None:
        self._svg.append(tag("text", text, x=x, y=y, text_anchor=anchor, **more))

    def _draw_axes(self) -> None:
        right, bottom = self._width - _RIGHT, self._height - _BOTTOM
        x_ticks, y_ticks = self.x.ticks(), self.y.ticks(5)
        xs, _ = self._points(x_ticks, np.full(len(x_ticks), self.y.high))
        _, ys = self._points(np.full(len(y_ticks), self.x.high), y_ticks)
        self._path("".join(f"M{_LEFT} {y:.1f}H{right}" for y in ys), "grid")
        self._path("".join(f"M{x:.1f} {bottom}v4" for x in xs) + f"M{_LEFT} {bottom}H{right}", "axis")
        for value, px in zip(x_ticks, xs.tolist(), strict=True):
            self._text(px, bottom + 18, number(value), "middle")
        for value, py in zip(y_ticks, ys.tolist(), strict=True):
            self._text(_LEFT - 7, py + 4, number(value), "end")
        self._text((_LEFT + right) / 2, self._height - 8, self.x.label, "middle", class_="label")
        middle = (_TOP + bottom) / 2
        turned = f"rotate(-90 14 {middle:.0f})"
        self._text(14, middle, self.y.label, "middle", class_="label", transform=turned)


def figure(plot: Plot, caption: str, *legend: tuple[str, str]) -> Element:
    """Set a plot with its caption; `legend` are (style, text)."""
    keys = [tag("span", text, class_=f"key {style}") for style, text in legend]
    return tag("figure", plot.element(), tag("figcaption", *keys, caption), class_="chart")
