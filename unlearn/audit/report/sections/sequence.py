"""10: many requests, one after another: drift, spent budget, retrains."""

from __future__ import annotations

from typing import Literal

from markupsafe import Markup

from unlearn.audit.report.marks import Looks
from unlearn.audit.report.node import Node
from unlearn.audit.report.parts import View, figure, table
from unlearn.audit.report.svg import Chart, Scale, line, path, spanning, text

Axis = Literal["log", "from zero", "near"]
_PANELS: tuple[tuple[str, tuple[str, ...], Axis], ...] = (
    ("residual after the request", ("residual_after",), "log"),
    ("gap to the retrain of everything so far", ("values", "retrain_gap"), "from zero"),
    ("NDCG@20 of remaining users", ("values", "ndcg_at_20"), "near"),
    ("records forgotten since the last training", ("removed",), "from zero"),
    ("seconds of the request", ("seconds",), "log"),
)


VIEW = View(
    "sequence",
    "Sequential requests",
    "Requests served one after another, each on what the one before it left: what piles up, what it costs, and "
    "when a retrain was due.",
    missing="`unlearn evaluate --stream 10 --delete one-user:100 --json STREAM.json` serves such a sequence; then "
    "`unlearn report AUDIT.json STREAM.json --html OUT.html`.",
    does_not_show="The order that was tried: other orders of the same requests may drift otherwise.",
)


def body(document: Node, looks: Looks) -> Markup:
    """One plot for each of what piles up."""
    streams = document.at("streams")
    if not streams:
        return Markup("")
    charts = [chart for panel in _PANELS if (chart := _chart(streams, looks, *panel)) is not None]
    heads = [
        "method",
        "seed",
        "request",
        "seconds",
        "residual before",
        "residual after",
        "records since training",
        "gap",
        "floor",
        "NDCG@20",
        "retrain due because",
        "retrained",
    ]
    rows = [
        [
            stream["method"], stream["seed"], step["number"],
            *(step[name] for name in ("seconds", "residual_before", "residual_after", "removed")),
            *(step.at("values", name) for name in ("retrain_gap", "gap_floor", "ndcg_at_20")),
            step["due"], step["retrained"],
        ]
        for stream in streams
        for step in stream["steps"]
    ]  # fmt: skip
    return figure(
        "By number of the request; upright lines where a retrain followed, and, in the picture of the residuals, where "
        "one was first due. Gaps are in units of the distance between the retrain and the model before the first "
        "request.",
        *charts,
        data=table("Every request", heads, rows),
        legend=looks.legend(stream["method"].value for stream in streams),
    )


def _chart(streams: Node, looks: Looks, title: str, keys: tuple[str, ...], axis: Axis) -> Markup | None:
    log = axis == "log"
    found = [
        (stream["method"].value, [(step["number"].value, step.at(*keys)) for step in stream["steps"]])
        for stream in streams
    ]
    found = [
        (name, [(n, node) for n, node in steps if node.known and (node.value > 0 or not log)]) for name, steps in found
    ]
    values = [node.value for _, steps in found for _, node in steps]
    if not values:
        return None
    chart = Chart(title, 322, 230)
    last = max(step["number"].value for stream in streams for step in stream["steps"])
    x = Scale(0.5, last + 0.5, *chart.x_range)
    y = spanning([*values, 0.0] if axis == "from zero" else values, *chart.y_range, log=log)
    chart.x_axis(x, "request")
    chart.y_axis(y, title)
    for place, stream in enumerate(streams):
        followed = [(step, "retrain") for step in stream["steps"] if step["retrained"]]
        due = [(step, f"due: {stream['method'].value}") for step in stream["steps"] if step["due"].known]
        for step, label in followed or (due[:1] if keys == ("residual_after",) else ()):
            at = x(step["number"].value + 0.5)
            chart.add(line(at, chart.y_range[0], at, chart.top, class_="floor"))
            chart.add(text(at + 3, chart.top + 8 + 10 * (place % 4), label, class_="tick"))
    for name, steps in found:
        chart.add(path([(x(n), y(node.value)) for n, node in steps], class_=f"curve {looks.colour(name)}"))
        chart.add(
            *(
                looks.mark(name, x(n), y(node.value), size=3.5, title=f"{name}, request {n}: {node}")
                for n, node in steps
            )
        )
    return chart.svg()
