"""8: where the rows of the tables went, all models on one projection."""

from __future__ import annotations

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.strips import strip
from unlearn.audit.report.svg import Chart, Scale, line, spanning, tag, text

VIEW = View(
    "representation",
    "Representation",
    "The final rows of every model, rotated onto the retrain's (a rotation changes no score) and seen through one "
    "shared principal component analysis. A line runs from where the retrain has a row to where the model has it.",
    missing="`unlearn audit --json` keeps the models long enough to write `views.representation`; a model that has "
    "no embeddings (a closed form over items) has no such view.",
    does_not_show="Two axes of many. Equal geometry is neither needed for equal scores nor enough for it.",
)


def body(document: Node, looks: Looks) -> Markup:
    """The maps, distances and alignments."""
    view = document.at("views", "representation")
    if not view:
        return Markup("")
    names = list(view["distance"].value)
    groups = list(view["map"].value)
    x, y = _extent(view)
    maps = [_map(view, name, looks, x, y) for name in names if name != "no_op"]
    shares = view["explained"]
    caption = tag(
        "span", "The axes hold ", shares[0], " and ", shares[1], " of the variance of the retrain's rows. Sixty rows a "
        "group are drawn: ", ", ".join(groups), ".",
    )  # fmt: skip
    distances = [
        strip(f"distance of {group} from the retrain's rows", [(n, view["distance"][n][group]) for n in names], looks)
        for group in groups
    ]
    layers = view["layers"]
    kernels = [
        strip(f"kernel alignment, {layer.value}", [(n, view["cka"][n][layer.value]) for n in names], looks, high=1.0)
        for layer in layers
    ]
    heads = ["model", *(f"distance, {group}" for group in groups), *(f"alignment, {layer.value}" for layer in layers)]
    rows = [
        [n, *(view["distance"][n][g] for g in groups), *(view["cka"][n][layer.value] for layer in layers)]
        for n in names
    ]
    parts = [
        figure(caption, *maps, legend=_groups(groups)),
        figure(
            "Distances in units of the mean length of a row, median and 10th to 90th percentile. Alignment: linear "
            "centred kernel alignment of all remaining rows with the retrain's, layer by layer; one is equal up to "
            "rotation and scale.",
            *distances,
            *kernels,
            data=table("Distance and alignment", heads, rows),
        ),
    ]
    return Markup("").join(parts)


def _extent(view: Node) -> tuple[list[float], list[float]]:
    points = [point for group in view["map"].value.values() for model in group.values() for point in model]
    known = [point for point in points if None not in point]
    return [point[0] for point in known], [point[1] for point in known]


def _map(view: Node, name: str, looks: Looks, xs: list[float], ys: list[float]) -> Markup:
    flat = (max(ys) - min(ys)) / (max(xs) - min(xs)) if max(xs) > min(xs) else 1.0
    height = 32 + round(172 * min(max(flat, 0.5), 1.2))
    chart = Chart(f"Rows of {name} beside the retrain's", 188, height, left=8, right=8, top=24, bottom=8)
    # One unit of length on both axes.
    x, y = spanning(xs, *chart.x_range), spanning(ys, *chart.y_range)
    unit = max(
        (x.high - x.low) / (chart.x_range[1] - chart.x_range[0]),
        (y.high - y.low) / (chart.y_range[0] - chart.y_range[1]),
    )
    x, y = _widened(x, unit), _widened(y, unit)
    chart.add(tag("rect", x=chart.left, y=chart.top, width=chart.width - 16, height=chart.height - 32, class_="frame"))
    chart.add(text(chart.left, 14, name, class_=f"title {looks.colour(name)}"))
    for place, points in enumerate(view["map"]):
        if name not in points.value:
            continue
        for here, there in zip(points["retrain"].value, points[name].value, strict=True):
            if None in there:
                continue
            a, b = (x(here[0]), y(here[1])), (x(there[0]), y(there[1]))
            chart.add(line(*a, *b, class_=f"moved g{place}"))
            chart.add(tag("circle", cx=b[0], cy=b[1], r=1.9, class_=f"row g{place}"))
    return chart.svg()


def _widened(scale: Scale, unit: float) -> Scale:
    half, centre = unit * abs(scale.end - scale.start) / 2, (scale.low + scale.high) / 2
    return Scale(centre - half, centre + half, scale.start, scale.end)


def _groups(groups: list[str]) -> Markup:
    dot = [tag("circle", cx=7, cy=7, r=4, class_=f"row g{place}") for place in range(len(groups))]
    entries = [
        tag("li", tag("svg", d, class_="key", viewBox="0 0 14 14", width=14, height=14, aria_hidden="true"), " ", group)
        for d, group in zip(dot, groups, strict=True)
    ]
    return tag("ul", *entries, class_="legend", aria_label="Groups of rows")
