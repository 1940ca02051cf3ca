"""Charts as inline SVG: scales, axes and a frame; what is drawn inside is each view's own business."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import ceil, floor, isfinite, log10
from typing import Any

from markupsafe import Markup, escape

TOP, RIGHT, BOTTOM, LEFT = 14, 14, 40, 52


def tag(name: str, *children: object, **attributes: Any) -> Markup:
    """An element; `class_` is class, other underscores are hyphens, numbers keep two digits, None is left out."""
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{_attribute(value)}"'
        for key, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{name}{written}>{''.join(escape(child) for child in children)}</{name}>")


def _attribute(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(escape(value))


@dataclass(frozen=True)
class Scale:
    """From values to pixels, linear or logarithmic; values outside are put on the edge."""

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, x = self.low, self.high, min(max(value, self.low), self.high)
        if self.log:
            low, high, x = log10(low), log10(high), log10(x)
        share = (x - low) / (high - low) if high > low else 0.5
        return self.start + share * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside: powers of ten on a long logarithmic scale, else steps of 1, 2 or 5."""
        if self.log:
            first, last = ceil(log10(self.low) - 1e-9), floor(log10(self.high) + 1e-9)
            steps = (1.0,) if last - first >= 2 else (1.0, 2.0, 5.0)
            found = [step * 10.0**power for power in range(first - 1, last + 1) for step in steps]
            every = ceil(len(found) / 8) if len(steps) == 1 else 1
            found = [value for value in found if self.low * 0.999 <= value <= self.high * 1.001][::every]
            return found if len(found) > 2 else Scale(self.low, self.high, self.start, self.end).ticks(about)
        rough = (self.high - self.low) / about
        power = 10.0 ** floor(log10(rough))
        step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough * 0.999)
        return [k * step for k in range(ceil(self.low / step - 1e-9), floor(self.high / step + 1e-9) + 1)]


def spanning(
    values: Sequence[float | None], start: float, end: float, *, log: bool = False, pad: float = 0.06
) -> Scale:
    """A scale that shows all values (those that are none are skipped), with a margin on either side."""
    known = [v for v in values if v is not None and isfinite(v) and (v > 0 or not log)]
    low, high = (min(known), max(known)) if known else (0.1, 1.0)
    if log:
        margin = max((high / low) ** pad, 1.12)
        return Scale(low / margin, high * margin, start, end, log=True)
    margin = (high - low) * pad or abs(high) * 0.1 or 1.0
    return Scale(low - margin, high + margin, start, end)


def text(x: float, y: float, content: object, **attributes: Any) -> Markup:
    """Text at a point."""
    return tag("text", content, x=float(x), y=float(y), **attributes)


def line(x1: float, y1: float, x2: float, y2: float, **attributes: Any) -> Markup:
    """A straight line from the first point to the second."""
    return tag("line", x1=float(x1), y1=float(y1), x2=float(x2), y2=float(y2), **attributes)


def path(points: Sequence[tuple[float, float]], **attributes: Any) -> Markup:
    """A polyline through the points."""
    steps = " ".join(f"{'M' if not k else 'L'}{x:.1f} {y:.1f}" for k, (x, y) in enumerate(points))
    return tag("path", d=steps, **attributes)


def tick_label(value: float) -> str:
    """A round value, as a power of ten where it is long otherwise."""
    if value and (abs(value) >= 1e4 or abs(value) < 1e-3):
        power = floor(log10(abs(value)) + 1e-9)
        factor = value / 10.0**power
        raised = "".join("⁻" if c == "-" else "⁰¹²³⁴⁵⁶⁷⁸⁹"[int(c)] for c in str(power))
        return f"10{raised}" if abs(factor - 1) < 1e-6 else f"{factor:.0f}·10{raised}"
    return f"{value:.6g}".replace("-", "\u2212")


@dataclass
class Chart:
    """A frame of fixed size: small enough for a phone, and several stand side by side on a desk."""

    label: str  # what a screen reader says
    width: int = 340
    height: int = 260
    left: int = LEFT
    bottom: int = BOTTOM
    top: int = TOP
    right: int = RIGHT
    parts: list[Markup] = field(default_factory=list[Markup])

    @property
    def x_range(self) -> tuple[float, float]:
        return float(self.left), float(self.width - self.right)

    @property
    def y_range(self) -> tuple[float, float]:
        return float(self.height - self.bottom), float(self.top)

    def x_axis(self, scale: Scale, title: str, *, grid: bool = False) -> None:
        base = self.y_range[0]
        self.parts.append(line(self.x_range[0], base, self.x_range[1], base, class_="axis"))
        for value in scale.ticks(max(3, int((scale.end - scale.start) / 60))):
            x = scale(value)
            if grid:
                self.parts.append(line(x, base, x, self.top, class_="grid"))
            self.parts.append(line(x, base, x, base + 4, class_="axis"))
            self.parts.append(text(x, base + 15, tick_label(value), class_="tick", text_anchor="middle"))
        middle = sum(self.x_range) / 2
        self.parts.append(text(middle, self.height - 6, title, class_="title", text_anchor="middle"))

    def y_axis(self, scale: Scale, title: str) -> None:
        for value in scale.ticks(max(3, int((scale.start - scale.end) / 45))):
            y = scale(value)
            self.parts.append(line(self.x_range[0], y, self.x_range[1], y, class_="grid"))
            self.parts.append(text(self.left - 7, y + 3.5, tick_label(value), class_="tick", text_anchor="end"))
        middle = sum(self.y_range) / 2
        turned = f"rotate(-90 11 {middle:.1f})"
        self.parts.append(text(11, middle, title, class_="title", text_anchor="middle", transform=turned))

    def add(self, *parts: Markup) -> None:
        self.parts += parts

    def svg(self, **attributes: Any) -> Markup:
        size = f"0 0 {self.width} {self.height}"
        given = {"class_": "chart", "viewBox": size, "width": self.width, "height": self.height, "role": "img"}
        return tag("svg", *self.parts, **(given | {"aria_label": self.label} | attributes))
