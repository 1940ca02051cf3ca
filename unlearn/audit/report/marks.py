"""One look for each method through all views, told apart by shape as well as by colour."""

from __future__ import annotations

from collections.abc import Iterable
from math import cos, pi, sin

from markupsafe import Markup

from unlearn.audit.report.node import Node
from unlearn.audit.report.svg import Chart, Scale, line, tag

_FIXED = {
    "retrain": ("retrain", "star"),
    "second retrain": ("retrain hollow", "star"),
    "placebo": ("placebo", "square"),
    "no_op": ("nothing", "cross"),
    "original": ("nothing", "cross"),
}
_SHAPES = ("circle", "triangle", "diamond", "square", "down", "pentagon")
COLOURS = 7
_CORNERS = {
    "triangle": (3, 1.25, -90),
    "down": (3, 1.25, 90),
    "diamond": (4, 1.2, -90),
    "square": (4, 1.2, -45),
    "pentagon": (5, 1.15, -90),
}


class Looks:
    """The class (colour) and shape of every name, in the order in which methods first appear in the document."""

    def __init__(self, names: Iterable[str]) -> None:
        own = [name for name in dict.fromkeys(names) if name not in _FIXED]
        self._found = {
            name: (f"m{place % COLOURS}", _SHAPES[place % len(_SHAPES)]) for place, name in enumerate(own)
        } | _FIXED  # fmt: skip

    def colour(self, name: str) -> str:
        return self._found.get(name, ("nothing", "circle"))[0]

    def mark(self, name: str, x: float, y: float, *, size: float = 4.5, title: object = None) -> Markup:
        """The mark of a name at a point."""
        colour, shape = self._found.get(name, ("nothing", "circle"))
        inside = () if title is None else (tag("title", title),)
        look = f"mark {colour}"
        if shape == "circle":
            return tag("circle", *inside, cx=float(x), cy=float(y), r=size, class_=look)
        if shape == "cross":
            left, right, top, bottom = (f"{v:.1f}" for v in (x - size, x + size, y - size, y + size))
            d = f"M{left} {top}L{right} {bottom}M{left} {bottom}L{right} {top}"
            return tag("path", *inside, d=d, class_=f"{look} open")
        if shape == "star":
            corners = [(size * (1.5 if k % 2 == 0 else 0.62), pi * k / 5 - pi / 2) for k in range(10)]
        else:
            n, reach, turn = _CORNERS[shape]
            corners = [(size * reach, 2 * pi * k / n + pi * turn / 180) for k in range(n)]
        points = " ".join(f"{x + r * cos(a):.1f},{y + r * sin(a):.1f}" for r, a in corners)
        return tag("polygon", *inside, points=points, class_=look)

    def key(self, name: str) -> Markup:
        """The mark for use in running text and tables."""
        mark = self.mark(name, 7, 7)
        return tag("svg", mark, class_="key", viewBox="0 0 14 14", width=14, height=14, aria_hidden="true")

    def legend(self, names: Iterable[str]) -> Markup:
        entries = [tag("li", self.key(name), " ", name) for name in dict.fromkeys(names)]
        return tag("ul", *entries, class_="legend", aria_label="Marks")


def whisker(chart: Chart, x: tuple[Scale, Node], y: tuple[Scale, Node], *, class_: str, along: str = "x") -> None:
    """The interval of one of the two figures (a node with `low` and `high`) through its point."""
    scale, node = x if along == "x" else y
    low, high = ends(node)
    if low is None or high is None:
        return
    a, b = scale(low), scale(high)
    if along == "x":
        at = y[0](middle(y[1]))
        chart.add(line(a, at, b, at, class_=f"whisker {class_}"))
    else:
        at = x[0](middle(x[1]))
        chart.add(line(at, a, at, b, class_=f"whisker {class_}"))


def middle(node: Node) -> float:
    """Mean, median or value of a figure with its spread; the number itself where it is one."""
    return centre(node).value


def centre(node: Node) -> Node:
    """The place of a figure's middle; a place without value where there is none."""
    if not isinstance(node.value, dict):
        return node
    return next((node[name] for name in ("mean", "median", "value") if name in node.value), Node(None, node.path))


def ends(node: Node) -> tuple[float | None, float | None]:
    """Ends of a figure's interval, or of its inner 80 %."""
    return tuple(each.value for each in spread(node))  # pyright: ignore[reportReturnType]


def spread(node: Node) -> tuple[Node, Node]:
    """The places of both ends."""
    pairs = (("low", "high"), ("p10", "p90"))
    for low, high in pairs:
        if isinstance(node.value, dict) and low in node.value:
            return node[low], node[high]
    return Node(None, node.path), Node(None, node.path)
