"""6: how far the change reached from what was forgotten, beside the retrain's."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.svg import Chart, Scale, line, path, spanning, text

_PANELS = {
    "change": "change of the scores, |S − S₀| / |S₀|",
    "reach": "reach: change over the retrain's",
    "alignment": "alignment with the retrain's change",
}


VIEW = View(
    "ripple",
    "Ripple",
    "How far the deletion was felt: users by their distance, in hops, from what was forgotten. Reach above one is "
    "over-reach (the method moved more than a retrain would have), below one under-reach; alignment says whether "
    "it moved the same way.",
    missing="`unlearn audit --json` keeps the models long enough to write `views.ripple`.",
    does_not_show="Norms over a whole ring: a single user inside it may have moved otherwise.",
)


def body(document: Node, looks: Looks) -> Markup:
    """Change, reach and alignment by ring."""
    rings = document.at("views", "ripple", "rings")
    if not rings:
        return Markup("")
    names = [name for name in rings[0]["models"].value if name not in ("original", "no_op")]
    charts = [_chart(rings, names, looks, figure_name, title) for figure_name, title in _PANELS.items()]
    heads = ["hops", "users", "model", "change", "reach", "gap", "alignment"]
    rows = [
        [ring["ring"], ring["users"], name, *(of[key] for key in ("change", "reach", "gap", "alignment"))]
        for ring in rings
        for name, of in ring["models"].items()
    ]
    return figure(
        "Left: the size of the change, fading with distance. Middle: over the retrain's own, which is the line at one. "
        "Right: cosine between the method's change and the retrain's; the second retrain is as near as a "
        "model can come.",
        *charts,
        data=table("Every ring and model", heads, rows),
        legend=looks.legend(names),
    )


def _chart(rings: Node, names: list[str], looks: Looks, name: str, title: str) -> Markup:
    chart = Chart(title, 322, 250)
    values = [ring["models"].at(model, name).value for ring in rings for model in names]
    log = name == "change"
    y = spanning(values if log else [*values, 1.0, 0.0], *chart.y_range, log=log)
    x = _places(len(rings), chart)
    chart.y_axis(y, title)
    base = chart.y_range[0]
    chart.add(line(chart.x_range[0], base, chart.x_range[1], base, class_="axis"))
    for place, ring in enumerate(rings):
        chart.add(text(x(place), base + 15, ring["ring"].value, class_="tick", text_anchor="middle"))
    chart.add(
        text(
            sum(chart.x_range) / 2,
            chart.height - 6,
            "hops from what was forgotten",
            class_="title",
            text_anchor="middle",
        )
    )
    if name == "reach":
        chart.add(line(chart.x_range[0], y(1.0), chart.x_range[1], y(1.0), class_="floor"))
    for model in names:
        found = [(x(place), ring["models"].at(model, name)) for place, ring in enumerate(rings)]
        points = [(px, y(node.value), node) for px, node in found if node.known and (node.value > 0 or not log)]
        colour = looks.colour(model)
        dash = " dashed" if model == "second retrain" else ""
        chart.add(path([(px, py) for px, py, _ in points], class_=f"curve {colour}{dash}"))
        chart.add(*(looks.mark(model, px, py, size=4, title=f"{model}: {node}") for px, py, node in points))
    return chart.svg()


def _places(count: int, chart: Chart) -> Callable[[float], float]:
    """Evenly spaced places of categories."""
    return Scale(-0.5, count - 0.5, *chart.x_range)
